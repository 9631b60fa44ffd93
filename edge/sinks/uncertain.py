"""The frames on which the detector was unsure, kept to be labelled."""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from edgeloop.edge.frames.folder import FrameWriter, SourceClock, entry_of
from edgeloop.edge.frames.uncertainty import doubt, misses
from edgeloop.edge.result import Sink

if TYPE_CHECKING:
    from edgeloop.edge.frame import Frame, Source
    from edgeloop.edge.result import Result

__all__ = ["UncertainFrames"]

log = logging.getLogger(__name__)

_LEAST_DOUBT = 0.5
_NEIGHBOURS_S = 0.5  # a frame later than that says little about the one before it


@dataclass(frozen=True, slots=True, eq=False)
class _Candidate:
    frame: Frame
    time_s: float
    doubt: float


class UncertainFrames(Sink):
    """Keeps the most doubtful frame of every few seconds, if there is one, in a folder that `label` reads.

    Doubtful is a frame with a box of a confidence nearer to the threshold than to 1, and more so one that
    misses what stands in the frames before and after it. Three frames and the best so far are held in memory.
    """

    def __init__(
        self, writer: FrameWriter, source: Source, *, threshold: float, every_s: float, most: int
    ) -> None:
        """Args:
        writer: Where frames go; shared by the sources of a run, and the caller's to close.
        source: Where the results' frames come from.
        threshold: Confidence from which on the detector reports a box.
        every_s: Seconds of which one frame is kept; of footage without times every doubtful frame is.
        most: Frames that the writer takes in all.
        """
        self._writer, self._source, self._most = writer, source, most
        self._threshold, self._every_s = threshold, every_s
        self._clock = SourceClock(source)
        self._near: deque[tuple[Result, float]] = deque(maxlen=3)
        self._best: _Candidate | None = None
        self._due_s = float("-inf")

    def write(self, result: Result) -> None:
        """Judge the frame before this one: only now it has two neighbours."""
        self._near.append((result, self._clock.time_s(result.frame)))
        if len(self._near) > 1:
            self._judge(-2)

    def close(self) -> None:
        if self._near:
            self._judge(-1)
            self._near.clear()
        self._keep()

    def _judge(self, place: int) -> None:
        result, time_s = self._near[place]
        if not time_s < self._due_s:  # always, where nobody knows the time
            self._keep()
            self._due_s = time_s + self._every_s
        missing = place == -2 and self._misses()
        doubted = doubt(result.detections, self._threshold) + missing
        if doubted >= _LEAST_DOUBT and (self._best is None or doubted > self._best.doubt):
            self._best = _Candidate(result.frame, time_s, doubted)

    def _misses(self) -> bool:
        times = [time_s for _, time_s in self._near]
        if len(times) < 3 or not all(later - time < _NEIGHBOURS_S for time, later in pairwise(times)):
            return False
        return misses(*(result.detections for result, _ in self._near))

    def _keep(self) -> None:
        best, self._best = self._best, None
        if best is None or self._writer.written >= self._most:
            return
        self._writer.add(best.frame.image, entry_of(self._source, best.frame, best.time_s))
        if self._writer.written == self._most:
            log.warning("%s: holds %d frames now and takes no more", self._writer.folder, self._most)
