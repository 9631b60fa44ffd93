"""Detections of the exported bundle in the project's frames, and where they differ from the labels."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from edgeloop.edge.host.file_version import file_version
from edgeloop.edge.runtime.detector import Detector
from edgeloop.labeling.studio.finished_dataset import LabeledFrame
from edgeloop.labeling.studio.project import Project
from edgeloop.models.boxes import iou_matrix
from edgeloop.models.detections import Detections
from edgeloop.models.errors import EdgeloopError, NoInputError

__all__ = ["BundleFrames", "count_differences"]

LOWEST_CONFIDENCE = 0.05
_IOU = 0.5
_MAX_COMPARED = 500  # frames, evenly over all


class BundleFrames:
    """Runs the bundle on frames, each once for each version of a bundle without masks."""

    def __init__(self, project: Project) -> None:
        """Wait for the bundle of a project, which need not exist yet."""
        self._project = project
        self._lock = threading.Lock()
        self._version: object = None
        self._detector: Detector | None = None
        self._found: dict[int, Detections] = {}
        self._comparing: threading.Thread | None = None
        self._closed = False
        self.compared, self.to_compare = 0, 0

    def detector(self) -> Detector:
        """Open the bundle, or give the one that is open.

        Raises:
            NoInputError: There is none.
            ModelError: It cannot be used.
        """
        with self._lock:
            return self._open()

    def detect(self, number: int) -> Detections:
        """Detections in a frame, from the lowest confidence on.

        Raises:
            NoInputError: There is no such frame, or no bundle.
            DataError: The frame cannot be read.
            ModelError: The bundle cannot be used.
        """
        with self._lock:
            detector = self._open()
            if number in self._found and detector.spec.head != "segment":
                return self._found[number]
        found = detector.detect(self._project.image(number))
        with self._lock:
            if detector is self._detector:
                self._found[number] = replace(found, masks=None)  # of all frames they are gigabytes
        return found

    def compare(self) -> None:
        """Begin to run the bundle on frames all over the project, in the background.

        Raises:
            NoInputError: There is no bundle.
            ModelError: It cannot be used.
        """
        self.detector()
        if self._comparing is not None and self._comparing.is_alive():
            return
        count = len(self._project.entries)
        step = max(1.0, count / _MAX_COMPARED)
        numbers = [int(place * step) for place in range(min(count, _MAX_COMPARED))]
        self.compared, self.to_compare = 0, len(numbers)
        self._comparing = threading.Thread(target=self._compare, args=(numbers,), daemon=True)
        self._comparing.start()

    def found(self) -> dict[int, Detections]:
        """Detections so far, by frame, without masks."""
        with self._lock:
            return dict(self._found)

    def close(self) -> None:
        """End the comparison."""
        self._closed = True

    def _compare(self, numbers: list[int]) -> None:
        for number in numbers:
            if self._closed:
                return
            try:
                self.detect(number)
            except NoInputError:  # the bundle is gone
                return
            except EdgeloopError:  # a frame that cannot be read differs in nothing
                pass
            self.compared += 1

    def _open(self) -> Detector:
        path: Path = self._project.bundle
        version = file_version(path)
        if version is None:
            raise NoInputError(f"{path}: no such bundle; export one first")
        if self._detector is None or version != self._version:
            self._detector = Detector(path, provider="cpu", confidence=LOWEST_CONFIDENCE)
            self._version, self._found = version, {}
        return self._detector


def count_differences(
    found: Detections, names: tuple[str, ...], labeled: LabeledFrame, confidence: float
) -> tuple[int, int]:
    """Count detections without a label of their class at IoU 0.5, and labels without a detection.

    Args:
        found: Detections, in pixels of the frame.
        names: Class names of the detections.
        labeled: Labels of the frame.
        confidence: Minimum score of detections that count.
    """
    sure = found[found.confidence >= confidence]
    order = np.argsort(-sure.confidence)
    boxes = np.array([box.xyxy for box in labeled.boxes], np.float32).reshape(-1, 4)
    overlaps = iou_matrix(sure.xyxy, boxes)
    free = np.ones(len(boxes), bool)
    extra = 0
    for row in order:
        same = np.array([box.name == names[int(sure.class_id[row])] for box in labeled.boxes], bool)
        overlap = np.where(free & same, overlaps[row], 0.0)
        if len(overlap) and overlap.max() >= _IOU:
            free[overlap.argmax()] = False
        else:
            extra += 1
    return extra, int(free.sum())


def rank_frames(
    found: Mapping[int, Detections],
    names: tuple[str, ...],
    labeled: Mapping[int, LabeledFrame],
    confidence: float,
) -> list[tuple[int, int, int]]:
    """Frame numbers with their extra and missed objects, those that differ most first."""
    counts = [
        (number, *count_differences(detections, names, labeled[number], confidence))
        for number, detections in found.items()
        if number in labeled
    ]
    return sorted(counts, key=lambda row: (-(row[1] + row[2]), row[0]))
