"""Mined frame: boxes of the teacher and of the device on one frame, and which of them are the same object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.ring.ring_entry import RingEntry
from edgeloop.labeling.engine.calibration import match_boxes
from edgeloop.labeling.engine.coverage import LEAST_PROBABILITY
from edgeloop.models.detections import Detections

__all__ = ["MinedFrame", "compare_boxes"]


@dataclass(frozen=True, slots=True, eq=False)
class MinedFrame:
    """Frame of a ring that a teacher has looked at.

    Attributes:
        entry: The frame in its ring.
        found: Boxes of the teacher; `confidence` is the probability that each is right, 0.05 and more.
        device: Boxes of the device, with the class numbers of the teacher and without classes that it does
            not know.
        rows: int64 (N,), row in `device` of the box that is the same object as each in `found`; -1 for none.
    """

    entry: RingEntry
    found: Detections
    device: Detections
    rows: NDArray[np.int64]

    @property
    def missed(self) -> NDArray[np.bool_]:
        """Boxes of the teacher that the device lacks, bool (N,)."""
        return self.rows < 0

    @property
    def alone(self) -> NDArray[np.bool_]:
        """Boxes of the device that the teacher lacks, bool (M,)."""
        alone = np.ones(len(self.device), np.bool_)
        alone[self.rows[~self.missed]] = False
        return alone

    @property
    def expected_misses(self) -> float:
        """Expected number of objects of the teacher that the device missed."""
        return float(self.found.confidence[self.missed].sum())

    @property
    def expected_alarms(self) -> float:
        """Expected number of false alarms of the device, if the teacher misses nothing."""
        return float((1 - self.found.confidence[~self.missed]).sum() + self.alone.sum())


def compare_boxes(
    entry: RingEntry, found: Detections, device_names: Sequence[str], names: Sequence[str]
) -> MinedFrame:
    """Match the boxes of the teacher and of the device: one to one, same class name, IoU at least 0.5.

    Args:
        entry: Frame with the boxes of the device.
        found: Boxes of the teacher, whose scores are probabilities.
        device_names: Class names of the device.
        names: Class names of the teacher.
    """
    numbers = np.array([names.index(name) if name in names else -1 for name in device_names], np.int64)
    own = entry.detections
    classes = numbers[own.class_id] if len(own) else own.class_id
    device = Detections(own.xyxy, own.confidence, classes)[classes >= 0]
    probable = found[found.confidence >= LEAST_PROBABILITY]
    rows = match_boxes(probable, device.xyxy, device.class_id)
    return MinedFrame(entry, probable, device, rows)
