"""Masks cropped to their bounding box."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["CroppedMask"]


@dataclass(frozen=True, slots=True, eq=False)
class CroppedMask:
    """A mask and its position in the frame.

    Attributes:
        left: x of the first column, pixels of the frame.
        top: y of the first row, pixels of the frame.
        bits: bool (h, w).
    """

    left: int
    top: int
    bits: NDArray[np.bool_]

    @classmethod
    def from_box(cls, xyxy: NDArray[np.float32]) -> CroppedMask:
        """Fill a box, float32 (4,), rounded to pixels of the frame, for a candidate without a mask."""
        left, top, right, bottom = np.rint(xyxy).astype(int).tolist()
        return cls(left, top, np.ones((max(bottom - top, 0), max(right - left, 0)), bool))

    @classmethod
    def from_mask(cls, mask: NDArray[np.bool_]) -> CroppedMask | None:
        """Crop a mask of a frame, bool (H, W), to its bounding box; None if it is empty."""
        columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
        if not columns.size:
            return None
        bits = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].copy()
        return cls(int(columns[0]), int(rows[0]), bits)

    @property
    def right(self) -> int:
        """X after the last column."""
        return int(self.left + self.bits.shape[1])

    @property
    def bottom(self) -> int:
        """Y after the last row."""
        return int(self.top + self.bits.shape[0])

    @property
    def xyxy(self) -> NDArray[np.float32]:
        """Bounding box, float32 (4,), pixels of the frame."""
        return np.array([self.left, self.top, self.right, self.bottom], np.float32)

    def shared_window(self, other: CroppedMask) -> tuple[int, int, int, int] | None:
        """Intersect two bounding boxes: left, top, right, bottom; None if they are disjoint."""
        left, top = max(self.left, other.left), max(self.top, other.top)
        right, bottom = min(self.right, other.right), min(self.bottom, other.bottom)
        return None if left >= right or top >= bottom else (left, top, right, bottom)

    def window(self, left: int, top: int, right: int, bottom: int) -> NDArray[np.bool_]:
        """View a window of the frame, given in pixels of the frame, that is inside `xyxy`."""
        return self.bits[top - self.top : bottom - self.top, left - self.left : right - self.left]
