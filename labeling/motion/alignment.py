"""Two pictures of one fixed camera made comparable: a mount that sways, and a camera that meters anew."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["match_exposure", "estimate_shift", "translated"]

_SURE = 0.15  # response of the phase correlation; below, there is too little in the picture to align by
_GAINS = (0.5, 2.0)  # what exposure may do; beyond, it is another light
_STEP = 4  # pixels from one that is asked about the light to the next

Shift = tuple[int, int]
"""Pixels to the right and down."""


def match_exposure(image: NDArray[np.uint8], reference: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Brighten or darken a picture as most of the reference asks for.

    Args:
        image: HxWx3 uint8 BGR.
        reference: HxWx3 uint8 BGR of the same scene; what differs may cover less than half of it.

    Returns:
        HxWx3 uint8 BGR, each channel multiplied by one gain.
    """
    here, wanted = (picture[::_STEP, ::_STEP].astype(np.float32) + 1 for picture in (image, reference))
    gains = np.clip(np.median((wanted / here).reshape(-1, 3), axis=0), *_GAINS)
    table = np.clip(np.arange(256)[:, None] * gains + 0.5, 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(image, table.reshape(256, 1, 3)), np.uint8)


def estimate_shift(image: NDArray[np.uint8], reference: NDArray[np.uint8]) -> Shift:
    """Find by how much a picture has to be moved to lie on the reference, by phase correlation.

    Args:
        image: HxWx3 uint8 BGR.
        reference: HxWx3 uint8 BGR.

    Returns:
        Whole pixels to the right and down; (0, 0) where that cannot be told.
    """
    gray = [cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY).astype(np.float32) for picture in (image, reference)]
    window = cv2.createHanningWindow((image.shape[1], image.shape[0]), cv2.CV_32F)
    (x, y), response = cv2.phaseCorrelate(*gray, window)
    return (round(x), round(y)) if response >= _SURE else (0, 0)


def translated(image: NDArray[np.uint8], shift: Shift) -> NDArray[np.uint8]:
    """Move a picture.

    Args:
        image: HxW or HxWx3 uint8.
        shift: Pixels to the right and down.

    Returns:
        The same size; what comes in from outside repeats the border.
    """
    matrix = np.array([[1, 0, shift[0]], [0, 1, shift[1]]], np.float64)
    size = (image.shape[1], image.shape[0])
    moved = cv2.warpAffine(image, matrix, size, flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.uint8)
