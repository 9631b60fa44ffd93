"""Perceptual hashes of frames."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["HASH_BITS", "bits_apart", "nearest_hashes", "perceptual_hash", "to_gray"]

_WIDTH_PX = 640  # sharpness and hash depend on scale, so they are measured at one
_SIDE_PX = 64
_HASH_SIDE = 16  # the usual 8 x 8 bits miss a small part that moves over a large still picture
HASH_BITS = _HASH_SIDE**2
_BLOCK = 250  # hashes that are compared with all others at once


def to_gray(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Convert an image, HxWx3 uint8 BGR, to HxW uint8 gray for measuring, no side longer than 640 px."""
    gray = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    scale = _WIDTH_PX / max(gray.shape)
    if scale < 1:
        gray = cv2.resize(gray, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.asarray(gray, np.uint8)


def perceptual_hash(gray: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Hash an image of `to_gray` by its lowest frequencies above their median: bool (`HASH_BITS`,)."""
    small = cv2.resize(gray, (_SIDE_PX, _SIDE_PX), interpolation=cv2.INTER_AREA).astype(np.float32)
    lowest = np.asarray(cv2.dct(small)[:_HASH_SIDE, :_HASH_SIDE])
    return np.asarray(lowest > np.median(lowest)).ravel()


def bits_apart(codes: NDArray[np.bool_], others: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Compute Hamming distances of hashes: (N, HASH_BITS) and (M, HASH_BITS) to (N, M)."""
    return _bits_apart(_signs(codes), _signs(others))


def nearest_hashes(
    codes: NDArray[np.bool_], others: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find the closest of other hashes for each, in memory that grows with their number only.

    Args:
        codes: Hashes, (N, HASH_BITS).
        others: Hashes to compare with, (M, HASH_BITS), at least one.

    Returns:
        Row of the closest in `others`, (N,), the first of several; and its Hamming distance, (N,).
    """
    signs = _signs(others)
    rows = np.empty(len(codes), np.int64)
    bits = np.empty(len(codes), np.int64)
    for start in range(0, len(codes), _BLOCK):
        block = slice(start, start + _BLOCK)
        apart = _bits_apart(_signs(codes[block]), signs)
        rows[block], bits[block] = apart.argmin(axis=1), apart.min(axis=1)
    return rows, bits


def _bits_apart(signs: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.int64]:
    return np.rint((HASH_BITS - signs @ others.T) / 2).astype(np.int64)


def _signs(codes: NDArray[np.bool_]) -> NDArray[np.float32]:
    return np.where(codes, np.float32(1), np.float32(-1))
