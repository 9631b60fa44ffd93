"""Square crops around boxes, with a margin."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["square_sides", "to_square", "warp"]

# Of the longer side, on each side: the ground says something about an object, and if a box is too small the
# margin shows the rest of the object.
_MARGIN = 0.15
_MIN_SIDE_PX = 2


def square_sides(xyxy: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute the sides of the squares around boxes (N, 4): float32 (N,), pixels of the image."""
    longer = (xyxy[:, 2:] - xyxy[:, :2]).max(axis=1)
    return np.asarray(np.maximum(longer, _MIN_SIDE_PX) * (1 + 2 * _MARGIN), np.float32)


def to_square(xyxy: NDArray[np.float32], side_px: int) -> NDArray[np.float64]:
    """Compute the affine map (2, 3) from the image to the square around a box (4,)."""
    x1, y1, x2, y2 = xyxy.tolist()
    scale = side_px / (max(x2 - x1, y2 - y1, _MIN_SIDE_PX) * (1 + 2 * _MARGIN))
    shift_x, shift_y = (side_px / 2 - scale * (low + high) / 2 for low, high in ((x1, x2), (y1, y2)))
    return np.array([[scale, 0.0, shift_x], [0.0, scale, shift_y]])


def warp(
    image: NDArray[np.generic], matrix: NDArray[np.float64], side_px: int, border: int
) -> NDArray[np.uint8]:
    """Crop a square out of an image, HxW or HxWx3, padded with the value `border`."""
    return np.asarray(
        cv2.warpAffine(image, matrix, (side_px, side_px), flags=cv2.INTER_LINEAR, borderValue=(border,) * 3)
    )
