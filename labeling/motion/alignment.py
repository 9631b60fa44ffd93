"""Alignment of images of one fixed camera in exposure and position."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["estimate_shift", "match_exposure", "translate"]

_MIN_RESPONSE = 0.15  # of the phase correlation; below, the image has too little texture to align
_GAIN_LIMITS = (0.5, 2.0)
_STEP = 4  # pixels between two samples for the gains

Shift = tuple[int, int]
"""Pixels to the right and down."""


def match_exposure(image: NDArray[np.uint8], reference: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Scale an image's channels by the median ratio to a reference, both HxWx3 uint8 BGR of one scene.

    Objects that differ must cover less than half of it.
    """
    here, wanted = (picture[::_STEP, ::_STEP].astype(np.float32) + 1 for picture in (image, reference))
    gains = np.clip(np.median((wanted / here).reshape(-1, 3), axis=0), *_GAIN_LIMITS)
    table = np.clip(np.arange(256)[:, None] * gains + 0.5, 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(image, table.reshape(256, 1, 3)), np.uint8)


def estimate_shift(image: NDArray[np.uint8], reference: NDArray[np.uint8]) -> Shift:
    """Estimate the shift that aligns an image with a reference, both HxWx3 uint8 BGR, by phase correlation.

    It is (0, 0) if the estimate is unreliable.
    """
    gray = [cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY).astype(np.float32) for picture in (image, reference)]
    window = cv2.createHanningWindow((image.shape[1], image.shape[0]), cv2.CV_32F)
    (x, y), response = cv2.phaseCorrelate(*gray, window)
    return (round(x), round(y)) if response >= _MIN_RESPONSE else (0, 0)


def translate(image: NDArray[np.uint8], shift: Shift) -> NDArray[np.uint8]:
    """Translate an image, HxW or HxWx3 uint8, padded by repeating the border."""
    matrix = np.array([[1, 0, shift[0]], [0, 1, shift[1]]], np.float64)
    size = (image.shape[1], image.shape[0])
    moved = cv2.warpAffine(image, matrix, size, flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.uint8)
