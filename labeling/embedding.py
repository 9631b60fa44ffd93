"""What an object looks like, as one vector: features of its crop, pooled inside its mask."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from labeling.candidates import Candidate
from labeling.features import CHANNELS, extract, prepared

__all__ = ["DIMENSIONS", "embed"]

_SIDE_PX = 96
_MARGIN = 0.15  # of the longer side, on each side: what an object stands on says something about it
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
    matrices = [_to_crop(candidate.xyxy) for candidate in candidates]
    crops = torch.cat([prepared(_warp(image, matrix, 127), (_SIDE_PX, _SIDE_PX)) for matrix in matrices])
    masks = torch.from_numpy(
        np.stack([_mask(candidate, m) for candidate, m in zip(candidates, matrices, strict=True)])
    )
    pooled = []
    for features in extract(crops)[1:]:
        weight = F.adaptive_avg_pool2d(masks[:, None], (features.shape[2], features.shape[3])) + _LEAST_WEIGHT
        mean = (features * weight).sum(dim=(2, 3)) / weight.sum(dim=(2, 3))
        pooled.append(F.normalize(mean, dim=1))
    return np.asarray(torch.cat(pooled, dim=1).numpy(), np.float32)


def _to_crop(xyxy: NDArray[np.float32]) -> NDArray[np.float64]:
    """Affine map from the frame to a square around a box that keeps its proportions."""
    x1, y1, x2, y2 = xyxy.tolist()
    scale = _SIDE_PX / (max(x2 - x1, y2 - y1, 2.0) * (1 + 2 * _MARGIN))
    shift_x, shift_y = (_SIDE_PX / 2 - scale * (low + high) / 2 for low, high in ((x1, x2), (y1, y2)))
    return np.array([[scale, 0.0, shift_x], [0.0, scale, shift_y]])


def _mask(candidate: Candidate, matrix: NDArray[np.float64]) -> NDArray[np.float32]:
    if candidate.silhouette is not None and candidate.outlined:
        offset = np.array([candidate.silhouette.left, candidate.silhouette.top])
        moved = matrix.copy()
        moved[:, 2] += matrix[:, :2] @ offset
        return np.asarray(_warp(candidate.silhouette.bits.astype(np.float32), moved, 0), np.float32)
    mask = np.zeros((_SIDE_PX, _SIDE_PX), np.float32)
    corners = candidate.xyxy.reshape(2, 2) @ matrix[:, :2].T + matrix[:, 2]
    (left, top), (right, bottom) = np.floor(corners[0]).astype(int), np.ceil(corners[1]).astype(int)
    mask[max(top, 0) : bottom, max(left, 0) : right] = 1
    return mask


def _warp(image: NDArray[np.generic], matrix: NDArray[np.float64], border: int) -> NDArray[np.uint8]:
    return np.asarray(
        cv2.warpAffine(image, matrix, (_SIDE_PX, _SIDE_PX), flags=cv2.INTER_LINEAR, borderValue=(border,) * 3)
    )
