"""CLIP embeddings of crops and texts through open_clip, an optional extra.

Radford et al., "Learning Transferable Visual Models From Natural Language Supervision" (2021).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgeloop.labeling.candidates.candidate import Candidate
from edgeloop.labeling.features.crop import crop_candidates
from edgeloop.models.errors import ModelError, NoInputError, UnavailableError, UsageError

if TYPE_CHECKING:
    from open_clip import CLIP, CustomTextCLIP
    from open_clip.tokenizer import SimpleTokenizer

__all__ = ["Clip", "TextClassifier", "load_clip"]

_BATCH = 32
_GRAY = 127  # outside of a mask, for CLIP would name the surroundings as readily as the object
_SENTENCE = "a photo of a {}."
_NONE_OF_THEM = ("a photo of the ground.", "a photo of a wall.", "a photo of the background.", "a shadow.")


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """A CLIP model with its preprocessing.

    Attributes:
        model: Image and text towers in evaluation mode.
        tokenizer: Tokenizer of the text tower.
        side_px: Side of the square input.
        mean: float32 (3, 1, 1) RGB in [0, 1], subtracted from the pixels.
        std: float32 (3, 1, 1), divides the difference.
    """

    model: CLIP | CustomTextCLIP
    tokenizer: SimpleTokenizer
    side_px: int
    mean: Tensor
    std: Tensor

    def embed(self, image: NDArray[np.uint8], candidates: Sequence[Candidate]) -> NDArray[np.float32]:
        """See `Embedder.embed`. Crops are gray outside of the masks; each embedding has length 1."""
        if not candidates:
            return np.empty((0, self.model.visual.output_dim), np.float32)
        crops, masks = crop_candidates(image, candidates, self.side_px)
        alone = np.where(masks[..., None] > 0.5, crops, _GRAY)[..., ::-1]
        pixels = torch.from_numpy(alone.astype(np.float32) / 255).permute(0, 3, 1, 2)
        with torch.inference_mode():
            parts = [
                self.model.encode_image((part - self.mean) / self.std, normalize=True)
                for part in pixels.split(_BATCH)
            ]
        return np.asarray(torch.cat(parts).numpy(), np.float32)

    def embed_text(self, sentences: Sequence[str]) -> NDArray[np.float32]:
        """Embed sentences in the space of the crops: float32 (N, D), each of length 1."""
        with torch.inference_mode():
            vectors = self.model.encode_text(self.tokenizer(list(sentences)), normalize=True)
        return np.asarray(vectors.numpy(), np.float32)


class TextClassifier:
    """Zero-shot classifier by the names of the classes, with prompts for the background."""

    def __init__(self, clip: Clip, names: Sequence[str]) -> None:
        """Embed the names of the classes."""
        self._clip = clip
        self._classes = len(names)
        sentences = [*(_SENTENCE.format(name) for name in names), *_NONE_OF_THEM]
        self._texts = float(clip.model.logit_scale.detach().exp()) * clip.embed_text(sentences)

    def probabilities(self, image: NDArray[np.uint8], candidates: Sequence[Candidate]) -> NDArray[np.float32]:
        """See `Classifier.probabilities`."""
        if not candidates:
            return np.empty((0, self._classes), np.float32)
        logits = self._clip.embed(image, candidates) @ self._texts.T
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray((odds / odds.sum(axis=1, keepdims=True))[:, : self._classes], np.float32)


def load_clip(model_name: str, weights: str, *, offline: bool = False) -> Clip:
    """Load a model with its weights.

    Args:
        model_name: A model of open_clip.
        weights: Path of its weights, or a tag of open_clip's, which is downloaded.
        offline: Never download: `weights` must be a path.

    Raises:
        UsageError: There is no such model, or its text tower is downloaded whatever the weights.
        NoInputError: `weights` is neither a file nor a tag of that model.
        ModelError: The file holds no weights of that model.
        ModuleNotFoundError: open_clip is not installed.
        UnavailableError: A tag cannot be downloaded.
    """
    import open_clip

    name = f"{model_name}:{weights}"
    if model_name not in open_clip.list_models():
        raise UsageError(
            f"--classifier {name}: open_clip has no model {model_name}; expected one like ViT-B-32"
        )
    path = Path(weights)
    if not path.is_file():
        tags = open_clip.list_pretrained_tags_by_model(model_name)
        if weights not in tags:
            raise NoInputError(
                f"--classifier {name}: {weights} is no file, and none of the tags of {model_name} "
                f"({', '.join(tags) or 'there are none'})"
            )
        if offline:
            raise UnavailableError(
                f"--classifier {name}: a tag is fetched, which --offline forbids; name a file"
            )
    elif any(key.startswith("hf_") for key in open_clip.get_model_config(model_name)["text_cfg"]):
        raise UsageError(
            f"--classifier {name}: the text tower of {model_name} is fetched, whatever its weights"
        )
    try:
        model = open_clip.create_model(model_name, pretrained=weights)
        tokenizer = open_clip.get_tokenizer(model_name)
    except Exception as error:  # open_clip passes on whatever torch, pickle or the hub raise
        told = (str(error).splitlines() or [type(error).__name__])[0]
        if path.is_file():
            raise ModelError(f"{path}: not weights of {model_name} ({told})") from error
        raise UnavailableError(f"--classifier {name}: cannot be fetched ({told})") from error
    seen = open_clip.get_model_preprocess_cfg(model)
    mean, std = (torch.tensor(seen[key], dtype=torch.float32)[:, None, None] for key in ("mean", "std"))
    size = seen["size"]
    return Clip(model.eval(), tokenizer, size if isinstance(size, int) else size[0], mean, std)
