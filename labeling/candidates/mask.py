"""Masks that are kept: small, and with their place in the frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Silhouette"]


@dataclass(frozen=True, slots=True, eq=False)
class Silhouette:
    """A mask without the empty frame around it.

    Attributes:
        left: x of the first column, pixels of the frame.
        top: y of the first row, pixels of the frame.
        bits: bool (h, w).
    """

    left: int
    top: int
    bits: NDArray[np.bool_]

    @classmethod
    def of_box(cls, xyxy: NDArray[np.float32]) -> Silhouette:
        """A filled box, for what has no mask.

        Args:
            xyxy: float32 (4,), pixels of the frame; sides are rounded.
        """
        left, top, right, bottom = np.rint(xyxy).astype(int).tolist()
        return cls(left, top, np.ones((max(bottom - top, 0), max(right - left, 0)), bool))

    @classmethod
    def of_mask(cls, mask: NDArray[np.bool_], left: int = 0, top: int = 0) -> Silhouette | None:
        """Leave out what is empty around a mask.

        Args:
            mask: bool (h, w).
            left: x of its first column, pixels of the frame.
            top: y of its first row, pixels of the frame.

        Returns:
            The rest; None where all of it is empty.
        """
        columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
        if not columns.size:
            return None
        bits = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].copy()
        return cls(left + int(columns[0]), top + int(rows[0]), bits)

    @property
    def right(self) -> int:
        """x after the last column."""
        return int(self.left + self.bits.shape[1])

    @property
    def bottom(self) -> int:
        """y after the last row."""
        return int(self.top + self.bits.shape[0])

    @property
    def xyxy(self) -> NDArray[np.float32]:
        """float32 (4,), tight around the mask."""
        return np.array([self.left, self.top, self.right, self.bottom], np.float32)

    def shared_window(self, other: Silhouette) -> tuple[int, int, int, int] | None:
        """Left, top, right and bottom of where both lie; None where their boxes are apart."""
        left, top = max(self.left, other.left), max(self.top, other.top)
        right, bottom = min(self.right, other.right), min(self.bottom, other.bottom)
        return None if left >= right or top >= bottom else (left, top, right, bottom)

    def window(self, left: int, top: int, right: int, bottom: int) -> NDArray[np.bool_]:
        """The part of the mask inside a window of the frame that lies within `xyxy`."""
        return self.bits[top - self.top : bottom - self.top, left - self.left : right - self.left]
