"""Comparison of two models on the same frames."""

from __future__ import annotations

import statistics
import threading
from collections import Counter, deque
from collections.abc import Sequence

import numpy as np

from edgeloop.edge.service.detection_filter import detection_filter
from edgeloop.edge.service.service_config import CameraConfig
from edgeloop.edge.service.store.shadow_figures import MAX_CLASSES, ShadowFigures
from edgeloop.edge.tracking import IgnoreMask
from edgeloop.models.boxes import iou_matrix
from edgeloop.models.detections import Detections

__all__ = ["CameraFilter", "Comparison", "count_matches"]

MATCH_IOU = 0.5
_WINDOW = 200
"""Frames over which latencies and rates are compared: what happens now, not an average of hours."""


class CameraFilter:
    """Filter of the detections that count for a camera, by the class numbers of any model."""

    def __init__(self, config: CameraConfig, names: Sequence[str]) -> None:
        """Read the ignore mask of a camera.

        Raises:
            NoInputError: There is no such mask.
            DataError: It is malformed, or names a class that the model does not have.
        """
        self._ignore = None if config.ignore is None else IgnoreMask(config.ignore, names)
        self._select = detection_filter(config, names)

    def __call__(self, found: Detections, size: tuple[int, int]) -> Detections:
        """Select detections of a frame of a size (width, height) in pixels."""
        if self._ignore is not None:
            found = self._ignore.drop(found, size)
        return found if self._select is None else self._select(found)


def count_matches(
    first: Detections, first_names: Sequence[str], second: Detections, second_names: Sequence[str]
) -> int:
    """Count the pairs of boxes of the same class with an IoU of at least 0.5, each box in one pair.

    Pairs are formed greedily, the largest IoU first.
    """
    numbers = {name: number for number, name in enumerate(first_names)}
    # -1 is no class of the first model.
    renumbered = np.array([numbers.get(name, -1) for name in second_names], np.int64)[second.class_id]
    iou = iou_matrix(first.xyxy, second.xyxy) * (first.class_id[:, None] == renumbered)
    pairs = np.argwhere(iou >= MATCH_IOU)
    rows: set[int] = set()
    columns: set[int] = set()
    for row, column in pairs[np.argsort(-iou[tuple(pairs.T)], kind="stable")].tolist():
        if row not in rows and column not in columns:
            rows.add(row)
            columns.add(column)
    return len(rows)


class Comparison:
    """Figures of a model in shadow beside the current one. Written by one thread, read by any."""

    def __init__(self, figures: ShadowFigures) -> None:
        """Go on from earlier figures."""
        self._figures = figures
        self._classes = [Counter({name: each[n] for name, each in figures.classes.items()}) for n in (0, 1)]
        self._latencies_ms: tuple[deque[float], deque[float]] = deque(maxlen=_WINDOW), deque(maxlen=_WINDOW)
        self._recent: deque[tuple[int, int]] = deque(maxlen=_WINDOW)
        self._lock = threading.Lock()

    def add(
        self,
        current: Detections,
        current_names: Sequence[str],
        candidate: Detections,
        candidate_names: Sequence[str],
        latencies_ms: tuple[float, float],
    ) -> None:
        """Count one frame that both models answered."""
        matched = count_matches(current, current_names, candidate, candidate_names)
        with self._lock:
            for counter, found, names in zip(
                self._classes, (current, candidate), (current_names, candidate_names), strict=True
            ):
                counter.update(names[class_id] for class_id in found.class_id.tolist())
            for window, latency_ms in zip(self._latencies_ms, latencies_ms, strict=True):
                window.append(latency_ms)
            self._recent.append((len(current), len(candidate)))
            old = self._figures
            self._figures = old.model_copy(
                update={
                    "frames": old.frames + 1,
                    "current_boxes": old.current_boxes + len(current),
                    "candidate_boxes": old.candidate_boxes + len(candidate),
                    "matched": old.matched + matched,
                }
            )

    def add_failure(self) -> None:
        """Count one frame that the model in shadow gave no answer to."""
        with self._lock:
            self._figures = self._figures.model_copy(update={"failed": self._figures.failed + 1})

    def set_providers(self, current: str, candidate: str) -> None:
        """Note the execution providers of both models."""
        with self._lock:
            update = {"current_provider": current, "candidate_provider": candidate}
            self._figures = self._figures.model_copy(update=update)

    def recent(self) -> tuple[int, int, int]:
        """Count the last frames, and the boxes of the current model and of the one in shadow in them."""
        with self._lock:
            current, candidate = (sum(pair[n] for pair in self._recent) for n in (0, 1))
            return len(self._recent), current, candidate

    def figures(self) -> ShadowFigures:
        """Sum up."""
        with self._lock:
            names = list(self._classes[0] | self._classes[1])[:MAX_CLASSES]
            current_ms, candidate_ms = (
                round(statistics.median(window), 3) if window else before
                for window, before in zip(
                    self._latencies_ms, (self._figures.current_ms, self._figures.candidate_ms), strict=True
                )
            )
            return self._figures.model_copy(
                update={
                    "classes": {name: (self._classes[0][name], self._classes[1][name]) for name in names},
                    "current_ms": current_ms,
                    "candidate_ms": candidate_ms,
                }
            )
