"""DINOv2 and DINOv3 embeddings of crops through timm, which comes with the optional extra `clip`.

Oquab et al., "DINOv2: Learning Robust Visual Features without Supervision" (2023). As in its linear
evaluation, the class token is concatenated with the mean of the patch tokens, here of those inside the mask.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from edgeloop.labeling.candidates.candidate import Candidate
from edgeloop.labeling.features.crop import crop_candidates
from edgeloop.labeling.features.embedding import pool_inside
from edgeloop.models.errors import ModelError, NoInputError, UsageError

if TYPE_CHECKING:
    from timm.models.eva import Eva
    from timm.models.vision_transformer import VisionTransformer

__all__ = ["Dino", "load_dino"]

_SIDE_PX = 224  # a multiple of both patch sizes, 14 and 16
_BATCH = 32


@dataclass(frozen=True, slots=True, eq=False)
class Dino:
    """A DINO with its preprocessing.

    Attributes:
        model: Vision transformer in evaluation mode.
        mean: float32 (3, 1, 1) RGB in [0, 1], subtracted from the pixels.
        std: float32 (3, 1, 1), divides the difference.
    """

    model: VisionTransformer | Eva
    mean: Tensor
    std: Tensor

    def embed(self, image: NDArray[np.uint8], candidates: Sequence[Candidate]) -> NDArray[np.float32]:
        """See `Embedder.embed`. The class token and the mean of the patch tokens have length 1 each."""
        parts = [np.empty((0, 2 * self.model.num_features), np.float32)]
        for start in range(0, len(candidates), _BATCH):
            crops, masks = crop_candidates(image, candidates[start : start + _BATCH], _SIDE_PX)
            rgb = np.ascontiguousarray(crops[..., ::-1]).astype(np.float32) / 255
            pixels = (torch.from_numpy(rgb).permute(0, 3, 1, 2) - self.mean) / self.std
            with torch.inference_mode():
                ((patches, prefix),) = self.model.forward_intermediates(
                    pixels, indices=1, return_prefix_tokens=True, norm=True, intermediates_only=True
                )
                both = (F.normalize(prefix[:, 0], dim=1), pool_inside(patches, masks))
                parts.append(torch.cat(both, dim=1).numpy())
        return np.concatenate(parts)


def load_dino(model_name: str, weights: str) -> Dino:
    """Load a model with its weights.

    Args:
        model_name: A DINOv2 or DINOv3 of timm.
        weights: Path of its weights, of timm or as Meta publishes them.

    Raises:
        UsageError: There is no such model.
        NoInputError: There is no such file.
        ModelError: The file holds no weights of that model.
        ModuleNotFoundError: timm is not installed.
    """
    import timm

    name = f"{model_name}:{weights}"
    known = timm.list_models("*_dinov[23]*")
    if model_name not in known:
        raise UsageError(
            f"--classifier {name}: timm has no model {model_name}; expected one of {', '.join(known)}"
        )
    if not Path(weights).is_file():
        raise NoInputError(f"--classifier {name}: {weights} is no file; weights of a DINO are never fetched")
    try:
        model = timm.create_model(
            model_name,
            pretrained=True,
            pretrained_cfg_overlay={"file": weights},
            num_classes=0,
            img_size=_SIDE_PX,
        )
    except Exception as error:  # timm passes on whatever torch, pickle or safetensors raise
        told = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelError(f"{weights}: not weights of {model_name} ({told})") from error
    mean, std = (
        torch.tensor(model.pretrained_cfg[key], dtype=torch.float32)[:, None, None] for key in ("mean", "std")
    )
    return Dino(model.eval(), mean, std)
