"""Common style of annotations: font, outline, and sizes in proportion to the image."""

from __future__ import annotations

import cv2

__all__ = ["FONT", "SHADOW", "side_of", "text_scale"]

FONT = cv2.FONT_HERSHEY_DUPLEX

SHADOW = (24, 24, 24)
"""BGR of the outline that keeps annotations visible on any background."""


def side_of(shape: tuple[int, ...]) -> float:
    """Side in pixels of a square with the area of an image of shape (H, W, ...)."""
    return float((shape[0] * shape[1]) ** 0.5)


def text_scale(shape: tuple[int, ...]) -> float:
    """OpenCV's font scale for an image of shape (H, W, ...): in proportion, but never illegible."""
    return max(0.42, side_of(shape) / 1300)
