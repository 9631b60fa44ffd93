"""Embeddings of candidates: features of a crop, pooled inside the mask."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from edgeloop.labeling.candidates.candidate import Candidate
from edgeloop.labeling.features.backbone import CHANNELS, extract_features, preprocess
from edgeloop.labeling.features.crop import to_square, warp

__all__ = ["DIMENSIONS", "Embedder", "crop_candidates", "embed"]

Embedder = Callable[[NDArray[np.uint8], Sequence[Candidate]], NDArray[np.float32]]
"""Embeds candidates of an image, HxWx3 uint8 BGR: float32 (N, D)."""

_SIDE_PX = 96
_MIN_WEIGHT = 1e-4  # keeps the mean defined if a mask is smaller than a cell
DIMENSIONS = sum(CHANNELS[1:])


def embed(image: NDArray[np.uint8], candidates: Sequence[Candidate]) -> NDArray[np.float32]:
    """Embed candidates by frozen ImageNet features at strides 8, 16 and 32 of a square crop.

    Without a mask the whole box counts. The result is float32 (N, DIMENSIONS); the part of each stride has
    length 1.
    """
    if not candidates:
        return np.empty((0, DIMENSIONS), np.float32)
    crops, masks = crop_candidates(image, candidates, _SIDE_PX)
    inside = torch.from_numpy(masks)[:, None]
    pooled = []
    for features in extract_features(torch.cat([preprocess(crop, (_SIDE_PX, _SIDE_PX)) for crop in crops]))[
        1:
    ]:
        weight = F.adaptive_avg_pool2d(inside, (features.shape[2], features.shape[3])) + _MIN_WEIGHT
        mean = (features * weight).sum(dim=(2, 3)) / weight.sum(dim=(2, 3))
        pooled.append(F.normalize(mean, dim=1))
    return np.asarray(torch.cat(pooled, dim=1).numpy(), np.float32)


def crop_candidates(
    image: NDArray[np.uint8], candidates: Sequence[Candidate], side_px: int
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Crop squares, with a margin, around candidates, at least one.

    Returns:
        Crops uint8 (N, side_px, side_px, 3) BGR; and masks float32 (N, side_px, side_px) in [0, 1], of the
        box if a candidate has no mask.
    """
    matrices = [to_square(candidate.xyxy, side_px) for candidate in candidates]
    crops = [warp(image, matrix, side_px, 127) for matrix in matrices]
    masks = [_mask(own, matrix, side_px) for own, matrix in zip(candidates, matrices, strict=True)]
    return np.stack(crops), np.stack(masks)


def _mask(candidate: Candidate, matrix: NDArray[np.float64], side_px: int) -> NDArray[np.float32]:
    if candidate.mask is not None and candidate.mask_agrees:
        offset = np.array([candidate.mask.left, candidate.mask.top])
        moved = matrix.copy()
        moved[:, 2] += matrix[:, :2] @ offset
        return np.asarray(warp(candidate.mask.bits.astype(np.float32), moved, side_px, 0), np.float32)
    mask = np.zeros((side_px, side_px), np.float32)
    corners = candidate.xyxy.reshape(2, 2) @ matrix[:, :2].T + matrix[:, 2]
    (left, top), (right, bottom) = np.floor(corners[0]).astype(int), np.ceil(corners[1]).astype(int)
    mask[max(top, 0) : bottom, max(left, 0) : right] = 1
    return mask
