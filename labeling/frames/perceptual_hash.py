"""Perceptual hashes of frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from imagehash import ImageHash

__all__ = ["HASH_BITS", "perceptual_hash", "to_gray"]

_WIDTH_PX = 640  # sharpness and hash depend on scale, so they are measured at one
_HASH_SIDE = 16  # the usual 8 x 8 bits miss a small part that moves over a large still picture
HASH_BITS = _HASH_SIDE**2


def to_gray(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Convert an image, HxWx3 uint8 BGR, to HxW uint8 gray for measuring, no side longer than 640 px."""
    gray = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    scale = _WIDTH_PX / max(gray.shape)
    if scale < 1:
        gray = cv2.resize(gray, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.asarray(gray, np.uint8)


def perceptual_hash(gray: NDArray[np.uint8]) -> ImageHash:
    """Hash an image of `to_gray` by the signs of its lowest frequencies: `HASH_BITS` bits.

    The difference of two hashes is their Hamming distance.
    """
    import imagehash
    from PIL import Image

    return imagehash.phash(Image.fromarray(gray), hash_size=_HASH_SIDE)
