"""SAM 2.1 through its own package `sam2`, an optional extra.

Ravi et al., "SAM 2: Segment Anything in Images and Videos" (2024).
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from edgeloop.labeling.sam.segmenter import SamSegmenter
from edgeloop.models.errors import ModelError, UnavailableError

__all__ = ["Sam2Segmenter", "load_sam2"]

_SIZE_BY_BLOCKS = {12: "t", 16: "s", 24: "b+", 48: "l"}  # blocks of the image encoder


class Sam2Segmenter(SamSegmenter):
    """An `InteractiveSegmenter` on top of the package's own `SAM2ImagePredictor`."""

    def __init__(self, model: torch.nn.Module) -> None:
        """Wrap a model in evaluation mode."""
        from sam2.sam2_image_predictor import SAM2ImagePredictor

        self._predictor = SAM2ImagePredictor(model)

    def _encode(self, images: Sequence[npt.NDArray[np.uint8]]) -> list[Any]:
        """Give a predictor of each image, as `SAM2ImagePredictor.set_image` would leave it."""
        together = copy.copy(self._predictor)
        together.set_image_batch([np.ascontiguousarray(image[..., ::-1]) for image in images])
        embeddings, fine = together._features["image_embed"], together._features["high_res_feats"]
        predictors = [copy.copy(self._predictor) for _ in images]
        for row, (predictor, image) in enumerate(zip(predictors, images, strict=True)):
            part = slice(row, row + 1)
            predictor._features = {
                "image_embed": embeddings[part],
                "high_res_feats": [level[part] for level in fine],
            }
            predictor._orig_hw, predictor._is_image_set = [image.shape[:2]], True
        return predictors

    def _predict(
        self, given: npt.NDArray[np.float32], *, are_boxes: bool
    ) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float32]]:
        rows = np.arange(len(given))
        prompts = {"box": given} if are_boxes else _as_points(given)
        masks, scores, _ = self._predictor.predict(**prompts, multimask_output=not are_boxes)
        scores = scores.reshape(len(given), -1)
        best = scores.argmax(axis=1)
        return masks.reshape(*scores.shape, *self._size)[rows, best] > 0, scores[rows, best]


def _as_points(given: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[np.float32]]:
    return {"point_coords": given[:, None], "point_labels": np.ones((len(given), 1), dtype=np.float32)}


def load_sam2(path: Path, weights: Mapping[str, torch.Tensor], device: torch.device) -> Sam2Segmenter:
    """Build the model that the weights of a checkpoint are of; `path` is for messages.

    Raises:
        ModelError: They are not of SAM 2.1.
        UnavailableError: The package is not installed.
    """
    blocks = {name.split(".")[3] for name in weights if name.startswith("image_encoder.trunk.blocks.")}
    size = _SIZE_BY_BLOCKS.get(len(blocks))
    wrong = f"{path}: not a checkpoint of SAM 2.1 (tiny, small, base_plus or large)"
    if size is None:
        raise ModelError(wrong)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # hydra's, of omegaconf
            from sam2.build_sam import build_sam2

            model = build_sam2(f"configs/sam2.1/sam2.1_hiera_{size}.yaml", device="cpu")
    except ModuleNotFoundError as error:
        raise UnavailableError(
            f"--sam {path}: the package {error.name} is not installed; pip install 'edgeloop[label,sam2]'"
        ) from error
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise ModelError(wrong) from error
    return Sam2Segmenter(model.to(device).eval())
