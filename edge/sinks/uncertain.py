"""Frames on which the detector was uncertain, saved to be labeled."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING

from edgeloop.edge.doubt.judged_frame import JudgedFrame
from edgeloop.edge.doubt.near_threshold import uncertainty
from edgeloop.edge.frames.folder import FrameWriter, SourceClock
from edgeloop.edge.result import Sink

if TYPE_CHECKING:
    from edgeloop.edge.frame import Source
    from edgeloop.edge.result import Result

__all__ = ["UncertainFrames"]

log = logging.getLogger(__name__)

_LEAST_DOUBT = 0.5
"""Smallest doubt about a frame that is saved: that of a score half-way from the threshold to 1."""


class UncertainFrames(Sink):
    """Saves the most doubtful frame of every few seconds, if there is one, in a folder that `label` reads.

    A frame is in doubt if a score is nearer to the threshold than to 1. The best so far is held in memory.
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
        self._writer, self._threshold = writer, threshold
        self._max_frames, self._every_s = max_frames, every_s
        self._clock = SourceClock(source)
        self._best: JudgedFrame | None = None
        self._due_s = -math.inf

    def write(self, result: Result) -> None:
        """Rate the frame."""
        time_s, doubt = self._clock.time_s(result.frame), uncertainty(result.detections, self._threshold)
        if not time_s < self._due_s:  # also if the time is unknown, NaN
            self._save()
            self._due_s = time_s + self._every_s
        if doubt >= _LEAST_DOUBT and (self._best is None or doubt > self._best.doubt):
            self._best = JudgedFrame(result, time_s, doubt)

    def close(self) -> None:
        """Save the best frame that is left."""
        self._save()

    def _save(self) -> None:
        best, self._best = self._best, None
        if best is None or self._writer.written >= self._max_frames:
            return
        frame = best.result.frame
        self._writer.add(frame.image, self._clock.entry(frame, best.time_s))
        if self._writer.written == self._max_frames:
            log.warning("%s: holds %d frames now and takes no more", self._writer.folder, self._max_frames)
