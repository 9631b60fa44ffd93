"""One input that every machine can make for itself, to tell whether a model still computes what it did."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

__all__ = ["array_digest", "golden_image"]


def golden_image(size: tuple[int, int]) -> NDArray[np.uint8]:
    """Draw the golden input: gradients, edges and fine texture in whole numbers, the same on every machine.

    Args:
        size: (width, height) in pixels.

    Returns:
        uint8 HxWx3 BGR.
    """
    width, height = size
    x, y = np.meshgrid(np.arange(width, dtype=np.int64), np.arange(height, dtype=np.int64))
    ramp = (x * 255) // max(width - 1, 1)
    tiles = np.where(((x // 24) + (y // 24)) % 2 == 0, 200, 40)
    texture = (x * x * 7 + y * y * 13 + x * y * 5) % 256
    return np.stack((ramp, tiles, texture), axis=-1).astype(np.uint8)


def array_digest(array: NDArray[np.generic]) -> str:
    """Digest an array.

    Args:
        array: any array.

    Returns:
        sha256 of its dtype, shape and values in C order, 64 hexadecimal digits.
    """
    digest = hashlib.sha256(f"{array.dtype.str}{array.shape}".encode())
    digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
