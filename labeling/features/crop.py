"""Square crops around boxes and candidates, with a margin."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeloop.labeling.candidates.candidate import Candidate

__all__ = ["crop_candidates"]

# Share of the longer side that is added on each side: the ground says something about an object, and if a
# box is too small the margin shows the rest of the object.
_MARGIN = 0.15
_MIN_SIDE_PX = 2


def crop_candidates(
    image: NDArray[np.uint8], candidates: Sequence[Candidate], side_px: int
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Crop squares, with a margin, around candidates, at least one.

    Returns:
        Crops uint8 (N, side_px, side_px, 3) BGR; and masks float32 (N, side_px, side_px) in [0, 1], of the
        box if a candidate has no mask.
    """
    matrices = [_to_square(candidate.xyxy, side_px) for candidate in candidates]
    crops = [_warp(image, matrix, side_px, 127) for matrix in matrices]
    masks = [_mask(own, matrix, side_px) for own, matrix in zip(candidates, matrices, strict=True)]
    return np.stack(crops), np.stack(masks)


def _to_square(xyxy: NDArray[np.float32], side_px: int) -> NDArray[np.float64]:
    """Compute the affine map (2, 3) from the image to the square around a box (4,)."""
    x1, y1, x2, y2 = xyxy.tolist()
    scale = side_px / (max(x2 - x1, y2 - y1, _MIN_SIDE_PX) * (1 + 2 * _MARGIN))
    shift_x, shift_y = (side_px / 2 - scale * (low + high) / 2 for low, high in ((x1, x2), (y1, y2)))
    return np.array([[scale, 0.0, shift_x], [0.0, scale, shift_y]])


def _warp(
    image: NDArray[np.generic], matrix: NDArray[np.float64], side_px: int, border: int
) -> NDArray[np.uint8]:
    """Crop a square out of an image, HxW or HxWx3, padded with the value `border`."""
    return np.asarray(
        cv2.warpAffine(image, matrix, (side_px, side_px), flags=cv2.INTER_LINEAR, borderValue=(border,) * 3)
    )


def _mask(candidate: Candidate, matrix: NDArray[np.float64], side_px: int) -> NDArray[np.float32]:
    if candidate.mask is not None and candidate.mask_agrees:
        offset = np.array([candidate.mask.left, candidate.mask.top])
        moved = matrix.copy()
        moved[:, 2] += matrix[:, :2] @ offset
        return np.asarray(_warp(candidate.mask.bits.astype(np.float32), moved, side_px, 0), np.float32)
    mask = np.zeros((side_px, side_px), np.float32)
    corners = candidate.xyxy.reshape(2, 2) @ matrix[:, :2].T + matrix[:, 2]
    (left, top), (right, bottom) = np.floor(corners[0]).astype(int), np.ceil(corners[1]).astype(int)
    mask[max(top, 0) : bottom, max(left, 0) : right] = 1
    return mask
