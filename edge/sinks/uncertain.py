"""Frames on which the detector was uncertain, saved to be labeled."""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from edgeloop.edge.frames.folder import FrameWriter, SourceClock
from edgeloop.edge.frames.uncertainty import has_gap, uncertainty
from edgeloop.edge.result import Sink

if TYPE_CHECKING:
    from edgeloop.edge.frame import Frame, Source
    from edgeloop.edge.result import Result

__all__ = ["UncertainFrames"]

log = logging.getLogger(__name__)

_MIN_UNCERTAINTY = 0.5
"""Minimum uncertainty of a frame that is saved."""

_NEIGHBORS_S = 0.5
"""Longest time in seconds between frames that are compared; later ones say little about each other."""


@dataclass(frozen=True, slots=True, eq=False)
class _Candidate:
    frame: Frame
    time_s: float
    uncertainty: float


class UncertainFrames(Sink):
    """Saves the least certain frame of every few seconds, if there is one, in a folder that `label` reads.

    A frame counts as uncertain if a confidence is nearer to the threshold than to 1, and more so if a
    detection of the frames before and after is missing. Three frames and the best so far are held in memory.
    """

    def __init__(
        self, writer: FrameWriter, source: Source, *, threshold: float, every_s: float, max_frames: int
    ) -> None:
        """Start without a frame.

        Args:
            writer: Folder of frames, shared by the sources of a run; the caller closes it.
            source: Source of the results.
            threshold: The detector's minimum confidence.
            every_s: Save at most one frame per this many seconds; without times, every uncertain frame.
            max_frames: Maximum number of frames that the writer takes in all.
        """
        self._writer, self._max_frames = writer, max_frames
        self._threshold, self._every_s = threshold, every_s
        self._clock = SourceClock(source)
        self._recent: deque[tuple[Result, float]] = deque(maxlen=3)
        self._best: _Candidate | None = None
        self._due_s = float("-inf")

    def write(self, result: Result) -> None:
        """Rate the frame before this one, which has two neighbors now."""
        self._recent.append((result, self._clock.time_s(result.frame)))
        if len(self._recent) > 1:
            self._rate(-2)

    def close(self) -> None:
        """Rate the last frame, and save the best that is left."""
        if self._recent:
            self._rate(-1)
            self._recent.clear()
        self._save()

    def _rate(self, position: int) -> None:
        result, time_s = self._recent[position]
        if not time_s < self._due_s:  # also if the time is unknown, NaN
            self._save()
            self._due_s = time_s + self._every_s
        total = uncertainty(result.detections, self._threshold) + (position == -2 and self._has_gap())
        if total >= _MIN_UNCERTAINTY and (self._best is None or total > self._best.uncertainty):
            self._best = _Candidate(result.frame, time_s, total)

    def _has_gap(self) -> bool:
        times = [time_s for _, time_s in self._recent]
        if len(times) < 3 or not all(later - time < _NEIGHBORS_S for time, later in pairwise(times)):
            return False
        return has_gap(*(result.detections for result, _ in self._recent))

    def _save(self) -> None:
        best, self._best = self._best, None
        if best is None or self._writer.written >= self._max_frames:
            return
        self._writer.add(best.frame.image, self._clock.entry(best.frame, best.time_s))
        if self._writer.written == self._max_frames:
            log.warning("%s: holds %d frames now and takes no more", self._writer.folder, self._max_frames)
