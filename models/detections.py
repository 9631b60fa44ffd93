"""What a detector found in one image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Detections"]


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """The objects found in one image, one row each.

    The field names are those of `supervision.Detections`, so that converting is one line.

    Attributes:
        xyxy: float32 (N, 4), corners x1, y1, x2, y2 in pixels of the source image.
        confidence: float32 (N,), in [0, 1].
        class_id: int64 (N,), index into the model's names.
        tracker_id: int64 (N,), the identity a tracker gave each row, -1 where it gave none yet; None before
            tracking.
    """

    xyxy: NDArray[np.float32]
    confidence: NDArray[np.float32]
    class_id: NDArray[np.int64]
    tracker_id: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        count = len(self.xyxy)
        _check("xyxy", self.xyxy, (count, 4), np.float32)
        _check("confidence", self.confidence, (count,), np.float32)
        _check("class_id", self.class_id, (count,), np.int64)
        if self.tracker_id is not None:
            _check("tracker_id", self.tracker_id, (count,), np.int64)

    @classmethod
    def empty(cls) -> Detections:
        """Nothing found.

        Returns:
            Detections of length 0.
        """
        return cls(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, np.int64))

    def __len__(self) -> int:
        return len(self.xyxy)

    def __getitem__(
        self, index: int | np.integer | slice | list[int] | NDArray[np.integer] | NDArray[np.bool_]
    ) -> Detections:
        """Select rows.

        Args:
            index: one row, a slice, row numbers, or a bool mask of length N.

        Returns:
            The selected rows; a single row number gives Detections of length 1.
        """
        rows = [int(index)] if isinstance(index, int | np.integer) else index
        return Detections(
            self.xyxy[rows],
            self.confidence[rows],
            self.class_id[rows],
            None if self.tracker_id is None else self.tracker_id[rows],
        )


def _check(name: str, array: NDArray[np.generic], shape: tuple[int, ...], dtype: type[np.generic]) -> None:
    if array.shape != shape or array.dtype != dtype:
        raise ValueError(
            f"Detections.{name}: expected {np.dtype(dtype)} {shape}, got {array.dtype} {array.shape}"
        )
