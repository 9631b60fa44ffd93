"""What all that is drawn into a picture has in common: one font, one dark edge, text that grows with it."""

from __future__ import annotations

import cv2

__all__ = ["FONT", "SHADOW", "side_of", "text_scale"]

FONT = cv2.FONT_HERSHEY_DUPLEX

SHADOW = (24, 24, 24)
"""BGR, drawn around what has to show on any ground."""


def side_of(shape: tuple[int, ...]) -> float:
    """Side in pixels of a square as large as a picture, by which sizes in it are set.

    Args:
        shape: Of the picture, (H, W, ...).

    Returns:
        The side.
    """
    return float((shape[0] * shape[1]) ** 0.5)


def text_scale(shape: tuple[int, ...]) -> float:
    """OpenCV's font scale for text in a picture: legible on a small one, in proportion on a large one.

    Args:
        shape: Of the picture, (H, W, ...).

    Returns:
        The scale.
    """
    return max(0.42, side_of(shape) / 1300)
