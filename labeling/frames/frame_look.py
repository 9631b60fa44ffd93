"""Thumbnail and hash of a frame, which tell recordings and near-duplicates apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeloop.labeling.frames.perceptual_hash import HASH_BITS, perceptual_hash, to_gray

__all__ = ["THUMBNAIL_PX", "FrameLook"]

THUMBNAIL_PX = 32


@dataclass(frozen=True, slots=True, eq=False)
class FrameLook:
    """Look of a frame.

    Attributes:
        thumbnail: Gray, uint8 (32, 32).
        code: Perceptual hash, bool (`HASH_BITS`,).
    """

    thumbnail: NDArray[np.uint8]
    code: NDArray[np.bool_]

    @classmethod
    def of(cls, image: NDArray[np.uint8]) -> Self:
        """Look at an image, HxWx3 uint8 BGR."""
        gray = to_gray(image)
        small = cv2.resize(gray, (THUMBNAIL_PX, THUMBNAIL_PX), interpolation=cv2.INTER_AREA)
        return cls(np.asarray(small, np.uint8), perceptual_hash(gray))

    def to_bytes(self) -> bytes:
        """Write as 1,056 bytes."""
        return self.thumbnail.tobytes() + np.packbits(self.code).tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self | None:
        """Read what `to_bytes` wrote; None if it is empty."""
        if not data:
            return None
        values = np.frombuffer(data, np.uint8)
        thumbnail = values[: THUMBNAIL_PX**2].reshape(THUMBNAIL_PX, THUMBNAIL_PX)
        code = np.unpackbits(values[THUMBNAIL_PX**2 :], count=HASH_BITS).astype(bool)
        return cls(thumbnail, code)
