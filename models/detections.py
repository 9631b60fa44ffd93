"""Detections of one image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeloop.models.errors import UnavailableError
from edgeloop.models.masks import Masks

__all__ = ["Detections"]


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """Objects found in one image, one row each.

    The fields have the names of `supervision.Detections`.

    Attributes:
        xyxy: float32 (N, 4), corners x1, y1, x2, y2 in pixels of the source image.
        confidence: float32 (N,), scores in [0, 1].
        class_id: int64 (N,), indices into the names of the model.
        tracker_id: int64 (N,), track of each row, -1 if it has none yet; None before tracking.
        masks: Pixels of each object; None of a model that finds boxes only.
    """

    xyxy: NDArray[np.float32]
    confidence: NDArray[np.float32]
    class_id: NDArray[np.int64]
    tracker_id: NDArray[np.int64] | None = None
    masks: Masks | None = None

    def __post_init__(self) -> None:
        count = len(self.xyxy)
        _check("xyxy", self.xyxy, (count, 4), np.float32)
        _check("confidence", self.confidence, (count,), np.float32)
        _check("class_id", self.class_id, (count,), np.int64)
        if self.tracker_id is not None:
            _check("tracker_id", self.tracker_id, (count,), np.int64)
        if self.masks is not None and len(self.masks) != count:
            raise ValueError(f"Detections.masks: expected {count}, got {len(self.masks)}")

    @classmethod
    def empty(cls) -> Detections:
        """Create Detections of length 0."""
        return cls(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, np.int64))

    def __len__(self) -> int:
        return len(self.xyxy)

    def __repr__(self) -> str:
        if not len(self):
            return "Detections(0)"
        tracks = "" if self.tracker_id is None else f", tracker_id {_distinct(self.tracker_id)}"
        scores = f"confidence {self.confidence.max():.2f}..{self.confidence.min():.2f}"
        return f"Detections({len(self)}: class_id {_distinct(self.class_id)}, {scores}{tracks})"

    def __getitem__(
        self, index: int | np.integer | slice | list[int] | NDArray[np.integer] | NDArray[np.bool_]
    ) -> Detections:
        """Select rows.

        Args:
            index: A row number, a slice, row numbers, or a bool mask of length N.

        Returns:
            The selected rows; one row number gives Detections of length 1.
        """
        rows = [int(index)] if isinstance(index, int | np.integer) else index
        return Detections(
            self.xyxy[rows],
            self.confidence[rows],
            self.class_id[rows],
            None if self.tracker_id is None else self.tracker_id[rows],
            None if self.masks is None else self.masks[rows],
        )

    def of_class(self, *class_ids: int) -> Detections:
        """Select the rows of these classes, in the same order."""
        return self[np.isin(self.class_id, class_ids)]

    def to_supervision(self) -> Any:
        """Convert to supervision's type, for its annotators, zones and trackers.

        Returns:
            `supervision.Detections` that share their arrays with this object.

        Raises:
            UnavailableError: supervision is not installed.
        """
        try:
            import supervision
        except ModuleNotFoundError as error:
            raise UnavailableError(
                f"to_supervision: the package {error.name} is not installed; pip install 'edgeloop[track]'"
            ) from error
        return supervision.Detections(
            xyxy=self.xyxy,
            mask=None if self.masks is None else self.masks.to_array(),
            confidence=self.confidence,
            class_id=self.class_id,
            tracker_id=self.tracker_id,
        )


def _check(name: str, array: NDArray[np.generic], shape: tuple[int, ...], dtype: type[np.generic]) -> None:
    if array.shape != shape or array.dtype != dtype:
        raise ValueError(
            f"Detections.{name}: expected {np.dtype(dtype)} {shape}, got {array.dtype} {array.shape}"
        )


def _distinct(ids: NDArray[np.int64], limit: int = 8) -> str:
    """Format the distinct values, at most `limit` of them."""
    distinct = np.unique(ids)
    more = " ..." if len(distinct) > limit else ""
    return f"[{' '.join(map(str, distinct[:limit]))}{more}]"
