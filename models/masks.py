"""Instance masks of one image, each kept only within a window around its object."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["Masks"]


@dataclass(frozen=True, slots=True, eq=False)
class Masks:
    """Instance masks of one image, one per detection.

    Only the window around each object is stored: 50 whole masks of a frame of 1920x1080 are 100 MB.

    Attributes:
        windows: bool (h, w) each, the pixels of the object within its window; a window may be empty, (0, 0).
        corners: int64 (N, 2), left column and top row of each window, in pixels of the image.
        size: (width, height) of the image in pixels. Every window is inside it.
    """

    windows: tuple[NDArray[np.bool_], ...]
    corners: NDArray[np.int64]
    size: tuple[int, int]

    def __post_init__(self) -> None:
        count = len(self.windows)
        if self.corners.shape != (count, 2) or self.corners.dtype != np.int64:
            raise ValueError(
                f"Masks.corners: expected int64 {(count, 2)}, got {self.corners.dtype} {self.corners.shape}"
            )
        for window, (left, top) in zip(self.windows, self.corners.tolist(), strict=True):
            if window.ndim != 2 or window.dtype != np.bool_:
                raise ValueError(f"Masks.windows: expected bool (h, w), got {window.dtype} {window.shape}")
            right, bottom = left + window.shape[1], top + window.shape[0]
            if left < 0 or top < 0 or right > self.size[0] or bottom > self.size[1]:
                raise ValueError(
                    f"Masks.windows: {(left, top, right, bottom)} reaches beyond the image, {self.size}"
                )

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, rows: slice | Sequence[int] | NDArray[np.integer] | NDArray[np.bool_]) -> Masks:
        """Select rows: a slice, row numbers, or a bool mask of length N."""
        numbers = np.arange(len(self))[rows]
        return Masks(tuple(self.windows[number] for number in numbers), self.corners[numbers], self.size)

    @classmethod
    def concatenate(cls, parts: Sequence[Masks]) -> Self:
        """Put the masks of one image, at least one part, behind each other."""
        windows = tuple(window for part in parts for window in part.windows)
        return cls(windows, np.concatenate([part.corners for part in parts]), parts[0].size)

    def placed(self, corner: tuple[int, int], size: tuple[int, int]) -> Masks:
        """Give the masks of a part of an image their place in it.

        Args:
            corner: Left column and top row of the part, in pixels of the image.
            size: (width, height) of the image in pixels.

        Returns:
            The same windows in the image.
        """
        return Masks(self.windows, self.corners + np.array(corner, np.int64), size)

    def united(self, groups: Sequence[Sequence[int]]) -> Masks:
        """Unite the masks of each group of row numbers; each group, of one row at least, becomes a row."""
        ends = self.corners + self._sides()
        windows = []
        corners = np.array([self.corners[list(rows)].min(axis=0) for rows in groups], np.int64).reshape(-1, 2)
        for rows, corner in zip(groups, corners, strict=True):
            width, height = ends[list(rows)].max(axis=0) - corner
            window = np.zeros((height, width), np.bool_)
            for row in rows:
                (left, top), (right, bottom) = self.corners[row] - corner, ends[row] - corner
                window[top:bottom, left:right] |= self.windows[row]
            windows.append(window)
        return Masks(tuple(windows), corners, self.size)

    def scaled(self, size: tuple[int, int]) -> Masks:
        """Scale the masks with their image to another size, (width, height) in pixels."""
        scale = np.divide(size, self.size)
        # The new pixels whose middle is in the window.
        corners, ends = (
            np.ceil(places * scale - 0.5).astype(np.int64)
            for places in (self.corners, self.corners + self._sides())
        )
        windows = []
        for window, old, corner, end in zip(self.windows, self.corners, corners, ends, strict=True):
            columns, rows = (
                np.clip((np.arange(corner[axis], end[axis]) + 0.5) / scale[axis] - old[axis], 0, side - 1)
                for axis, side in enumerate(window.shape[::-1])
            )
            windows.append(window[rows.astype(np.int64)[:, None], columns.astype(np.int64)])
        return Masks(tuple(windows), corners, size)

    def _sides(self) -> NDArray[np.int64]:
        """Width and height of each window, (N, 2)."""
        return np.array([window.shape[::-1] for window in self.windows], np.int64).reshape(-1, 2)

    @property
    def area(self) -> NDArray[np.int64]:
        """Number of pixels of each object, (N,)."""
        return np.array([np.count_nonzero(window) for window in self.windows], np.int64)

    def outlines(self) -> Iterator[list[NDArray[np.float32]]]:
        """Trace the outer contours of each object, largest first; holes are filled.

        Yields:
            Polygons of one object, float32 (P, 2) x, y of at least three points in pixels of the image, on
            the edges' pixel centers as COCO draws them; none for an object without pixels, or one
            pixel wide.
        """
        import cv2  # slow to load: a detector imports it while its model is loaded

        for window, corner in zip(self.windows, self.corners, strict=True):
            pixels = np.ascontiguousarray(window, np.uint8)
            found, _ = cv2.findContours(pixels, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
            traced = [each.reshape(-1, 2) for each in found if len(each) >= 3]
            traced.sort(key=lambda each: -cv2.contourArea(each))
            yield [(each + corner).astype(np.float32) for each in traced]

    def iou(self, other: Masks) -> NDArray[np.float32]:
        """Compute the intersection over union of each row with the same row of `other`, (N,), in [0, 1].

        Both are of the same image. Two objects without pixels agree: 1.
        """
        areas, others = self.area, other.area
        shared = np.zeros(len(self), np.int64)
        ends = zip(self.windows, self.corners, other.windows, other.corners, strict=True)
        for row, (one, corner, two, corner_two) in enumerate(ends):
            start = np.maximum(corner, corner_two)
            stop = np.minimum(corner + one.shape[::-1], corner_two + two.shape[::-1])
            if (stop > start).all():
                both = _part(one, corner, start, stop) & _part(two, corner_two, start, stop)
                shared[row] = np.count_nonzero(both)
        union = areas + others - shared
        return np.where(union > 0, shared / np.maximum(union, 1), 1).astype(np.float32)

    def to_array(self) -> NDArray[np.bool_]:
        """Draw whole masks, bool (N, height, width)."""
        width, height = self.size
        result = np.zeros((len(self), height, width), np.bool_)
        for whole, window, (left, top) in zip(result, self.windows, self.corners.tolist(), strict=True):
            whole[top : top + window.shape[0], left : left + window.shape[1]] = window
        return result


def _part(
    window: NDArray[np.bool_], corner: NDArray[np.int64], start: NDArray[np.int64], stop: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Cut the pixels from `start` up to `stop`, x and y in the image, out of a window."""
    (left, top), (right, bottom) = start - corner, stop - corner
    return window[top:bottom, left:right]
