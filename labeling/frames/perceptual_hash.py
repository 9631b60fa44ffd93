"""How alike two frames look: a perceptual hash, a library's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from imagehash import ImageHash

__all__ = ["HASH_BITS", "measured", "perceptual_hash"]

_MEASURED_WIDTH_PX = 640  # sharpness and hash depend on scale, so they are taken at one
_HASH_SIDE = 16  # the usual 8 x 8 bits do not see a small part move over a large still picture
HASH_BITS = _HASH_SIDE**2


def measured(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Args:
        image: HxWx3 uint8 BGR.

    Returns:
        HxW uint8 grey, no side longer than 640 px.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    scale = _MEASURED_WIDTH_PX / max(grey.shape)
    if scale < 1:
        grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.asarray(grey, np.uint8)


def perceptual_hash(grey: NDArray[np.uint8]) -> ImageHash:
    """Args:
        grey: HxW uint8, as `measured` makes it.

    Returns:
        `HASH_BITS` bits; the difference of two hashes is their Hamming distance.
    """
    import imagehash
    from PIL import Image

    return imagehash.phash(Image.fromarray(grey), hash_size=_HASH_SIDE)
