"""Square pictures of boxes with their surroundings."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.host.opencv import encode_image

__all__ = ["box_picture", "crop_square", "picture_side"]

_CONTEXT = 1.8  # side of the picture, as a multiple of the longer side of its box
_LEAST_PX = 24.0  # of the frame, for the side of the picture
_BORDER = (40, 40, 40)  # BGR, beyond the frame


def box_picture(image: NDArray[np.uint8], xyxy: Sequence[float], side_px: int) -> bytes:
    """Square picture of a box and its surroundings, JPEG.

    Args:
        image: The frame, HxWx3 uint8 BGR.
        xyxy: Box in pixels of the frame.
        side_px: Side of the picture in its own pixels.
    """
    return encode_image(".jpg", crop_square(image, xyxy, picture_side(xyxy), side_px), quality=85)


def picture_side(xyxy: Sequence[float]) -> float:
    """Side of the square that the picture of a box shows, in pixels of the frame."""
    x1, y1, x2, y2 = xyxy
    return max(_CONTEXT * max(x2 - x1, y2 - y1), _LEAST_PX)


def crop_square(
    image: NDArray[np.uint8], xyxy: Sequence[float], side: float, side_px: int
) -> NDArray[np.uint8]:
    """Crop a square around the middle of a box, and scale it.

    Args:
        image: The frame, HxWx3 uint8 BGR.
        xyxy: Box in pixels of the frame.
        side: Side of the square in pixels of the frame.
        side_px: Side of the result in its own pixels.
    """
    x1, y1, x2, y2 = xyxy
    scale = side_px / side
    shift = (side_px / 2 - scale * (x1 + x2) / 2, side_px / 2 - scale * (y1 + y2) / 2)
    matrix = np.array([[scale, 0.0, shift[0]], [0.0, scale, shift[1]]])
    flags = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    warped = cv2.warpAffine(image, matrix, (side_px, side_px), flags=flags, borderValue=_BORDER)
    return np.asarray(warped, np.uint8)
