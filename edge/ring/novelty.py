"""Novelty of a frame beside those that are kept, by small gray pictures."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["expected_gain", "thumbnail"]

_SIDE = 32
"""Width and height of a thumbnail in pixels."""

_SEEN_FACTOR = 0.5
"""Gain of a frame that is kept already, as a share of its doubt: a small object hardly shows in a thumbnail,
so what looks alike still counts for half."""


def thumbnail(image: NDArray[np.uint8]) -> bytes:
    """Make the thumbnail of an image (HxWx3 uint8 BGR): 32x32 gray levels, uint8, row by row."""
    small = cv2.resize(image, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), np.uint8).tobytes()


def expected_gain(doubt: float, seen: bytes, kept: Sequence[bytes]) -> float:
    """Expect the gain of labeling a frame: its doubt, less if it resembles frames that are kept.

    Args:
        doubt: Doubt about the frame, in [0, 1].
        seen: Its thumbnail.
        kept: Thumbnails of frames of the same source.

    Returns:
        Gain in [0, 1]: the doubt if the frame is as far from its nearest neighbor as frames of the source
        usually are from each other, half of it if it is the same picture.
    """
    return doubt * (_SEEN_FACTOR + (1.0 - _SEEN_FACTOR) * _novelty(seen, kept))


def _novelty(seen: bytes, kept: Sequence[bytes]) -> float:
    """Distance to the nearest as a share of the median distance, 0 to 1; so no camera needs a scale."""
    if not kept:
        return 1.0
    distances = np.sqrt(np.mean((_levels([*kept]) - _levels([seen])) ** 2, axis=1))
    usual = float(np.median(distances))
    return min(1.0, float(distances.min()) / usual) if usual > 0 else 0.0


def _levels(thumbnails: Sequence[bytes]) -> NDArray[np.float32]:
    """Gray levels, float32 (N, 1024), without the mean of each: the light changes for all."""
    levels = np.frombuffer(b"".join(thumbnails), np.uint8).reshape(len(thumbnails), -1).astype(np.float32)
    return np.asarray(levels - levels.mean(axis=1, keepdims=True), np.float32)
