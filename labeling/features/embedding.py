"""What an object looks like, as one vector: features of its crop, pooled inside its mask."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from edgeloop.labeling.candidates.candidate import Candidate
from edgeloop.labeling.features.backbone import CHANNELS, extract, prepared
from edgeloop.labeling.features.crop import to_square, warp

__all__ = ["DIMENSIONS", "Embedder", "cut_out", "embed"]

Embedder = Callable[[NDArray[np.uint8], Sequence[Candidate]], NDArray[np.float32]]
"""Describes candidates of an image, HxWx3 uint8 BGR, by float32 (N, D)."""

_SIDE_PX = 96
_LEAST_WEIGHT = 1e-4  # keeps the mean defined where a mask is finer than a cell
DIMENSIONS = sum(CHANNELS[1:])


def embed(image: NDArray[np.uint8], candidates: Sequence[Candidate]) -> NDArray[np.float32]:
    """Describe candidates by frozen ImageNet features at strides 8, 16 and 32 of a square crop.

    Args:
        image: HxWx3 uint8 BGR.
        candidates: What to describe; where there is no mask of it the whole box counts.

    Returns:
        float32 (N, DIMENSIONS); the part of each stride has length 1.
    """
    if not candidates:
        return np.empty((0, DIMENSIONS), np.float32)
    crops, masks = cut_out(image, candidates, _SIDE_PX)
    inside = torch.from_numpy(masks)[:, None]
    pooled = []
    for features in extract(torch.cat([prepared(crop, (_SIDE_PX, _SIDE_PX)) for crop in crops]))[1:]:
        weight = F.adaptive_avg_pool2d(inside, (features.shape[2], features.shape[3])) + _LEAST_WEIGHT
        mean = (features * weight).sum(dim=(2, 3)) / weight.sum(dim=(2, 3))
        pooled.append(F.normalize(mean, dim=1))
    return np.asarray(torch.cat(pooled, dim=1).numpy(), np.float32)


def cut_out(
    image: NDArray[np.uint8], candidates: Sequence[Candidate], side_px: int
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Squares around candidates, each with a margin of what it stands on.

    Args:
        image: HxWx3 uint8 BGR.
        candidates: At least one.
        side_px: Of each square.

    Returns:
        uint8 (N, side_px, side_px, 3) BGR; and float32 (N, side_px, side_px) in [0, 1], where the candidate's
        mask is, or its box where it has none.
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
