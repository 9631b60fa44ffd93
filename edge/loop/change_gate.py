"""Frames in which nothing changed since the last look: their detections are those of that look.

A small gray picture of each frame is compared with that of the last frame that the detector looked at, cell
by cell. So slow changes add up, and a small object is not lost in the mean of a large picture. A change
counts against what is usual in its cell while objects stay where they are: noise, compression, leaves, a
person who sways. That is learned from the camera itself, and from what the detector says when it looks.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.loop.cell_changes import VISIBLE, change_energy, learn_usual, shrink_to_cells
from edgeloop.edge.tracking.tracker import LOST_S, START_SHARE
from edgeloop.models.boxes import iou_matrix
from edgeloop.models.detections import Detections

__all__ = ["LOOK_S", "ChangeGate"]

LOOK_S = 2.0
"""Longest time in seconds from one look to the next, whatever the pictures say."""

USUAL = 0.95
"""Quantile of the energies of a cell that counts as its usual one: compression refreshes the whole picture
now and then."""

EXCEEDS = 3.0
"""Energy of a difference, as a multiple of the usual one of its cell, beyond which something changed there.

Noise of a camera is correlated by its compression, so the 64 pixels of a cell count as about 8 independent
ones. Then its energy, a chi-squared variable, exceeds 2.8 times this quantile once in a million.
"""

LEARN_S, LEARN_FRAMES = 2.0, 30
"""Time in seconds in which the usual energy of a cell may grow by a factor of e, and the number of frames
before the first that is skipped. Growth takes longer than an object needs to be detected once it shows, and
what goes on for longer without an object that moves is usual. It shrinks 19 times as slowly."""

MOVED_IOU, OTHER_IOU = 0.7, 0.3
"""Overlap of an object with itself below which it moved, and below which it is another object."""


class ChangeGate:
    """Filter of the frames of one fixed camera that need no look; it remembers the detections of the last."""

    def __init__(self, confidence: float) -> None:
        """Start without a look.

        Args:
            confidence: Threshold of the detector.
        """
        # What is less sure comes and goes although nothing changes, and starts no track.
        self._sure = confidence + START_SHARE * (1 - confidence)
        self._detections: Detections | None = None
        self._resting = Detections.empty()
        self._shape: tuple[int, ...] = ()
        self._small = self._looked = np.empty((0, 0), np.float32)
        self._energy = self._usual = np.empty((0, 0), np.float32)
        self._frames = 0
        self._at_s = self._looked_s = self._moved_s = -math.inf

    def earlier(self, image: NDArray[np.uint8], at_s: float) -> Detections | None:
        """Compare a frame with the last look. Call it for each frame, in order.

        Args:
            image: HxWx3 uint8 BGR.
            at_s: Time of the frame in seconds.

        Returns:
            The detections of the last look if they are still right; None if the detector must look, and its
            detections be passed to `look`.
        """
        before_s, self._at_s = self._at_s, at_s
        self._step = min(self._at_s - before_s, 1.0) / LEARN_S
        self._small = shrink_to_cells(image)
        if self._shape != image.shape:
            self._shape, self._frames, self._usual = image.shape, 0, np.empty((0, 0), np.float32)
            return None
        self._frames += 1
        self._energy = change_energy(self._small - self._looked)
        if not self._usual.size:
            self._usual = np.maximum(self._energy, VISIBLE / EXCEEDS)
        if (
            self._frames < LEARN_FRAMES
            or not 0 <= self._at_s - self._looked_s < LOOK_S
            or self._at_s - self._moved_s < LOST_S
            or (self._energy > EXCEEDS * self._usual).any()
        ):
            return None
        self._learn()
        return self._detections

    def look(self, detections: Detections) -> None:
        """Note what the detector saw in the last frame that was compared."""
        if self._detections is None or self._has_moved(self._resting, detections):
            self._moved_s, self._resting = self._at_s, detections
        elif self._at_s - self._moved_s >= LOST_S and self._usual.size:
            self._learn()
        self._detections, self._looked, self._looked_s = detections, self._small, self._at_s

    def _learn(self) -> None:
        """Move the usual energy of each cell towards its quantile, from a frame in which no object moved."""
        step = max(1 / self._frames, self._step)
        learn_usual(self._usual, self._energy, step=step, quantile=USUAL, lowest=VISIBLE / EXCEEDS)

    def _has_moved(self, before: Detections, after: Detections) -> bool:
        """True if an object came, went or moved."""
        overlaps = iou_matrix(before.xyxy, after.xyxy)
        for found, best in (
            (before, overlaps.max(axis=1, initial=0)),
            (after, overlaps.max(axis=0, initial=0)),
        ):
            gone = (best < OTHER_IOU) & (found.confidence >= self._sure)
            if (gone | ((best >= OTHER_IOU) & (best < MOVED_IOU))).any():
                return True
        return False
