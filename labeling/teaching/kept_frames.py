"""Frames that a loop learns from, kept while the teacher answers."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from edgeloop.edge.frame import Source
from edgeloop.edge.frames.folder import FRAME_LIST, FrameWriter, SourceClock, read_frames
from edgeloop.edge.result import Result, Sink
from edgeloop.labeling.frames.selection import FrameSelector, Verdict
from edgeloop.models.errors import EdgeloopError, NoInputError

__all__ = ["KeptFrames", "count_kept"]

_EVERY_S = 0.7  # on this machine's clock: frames of a camera are to differ, and the folder is to fill soon
_SHARPNESS, _DIFFERENCE = 0.5, 12  # as of `edgeloop collect`


def count_kept(folder: Path) -> int:
    """Count the frames in a folder that need not exist.

    Raises:
        DataError: Its list is malformed.
    """
    try:
        return len(read_frames(folder)) if (folder / FRAME_LIST).is_file() else 0
    except NoInputError:  # it was opened, and nothing was kept yet
        return 0


class KeptFrames(Sink):
    """Keeps sharp frames that differ from the last ones, now and then, as many as are wanted.

    Attributes:
        count: Number of frames in the folder.
        wanted: Number of frames from which on no more are kept.
    """

    def __init__(
        self,
        writer: FrameWriter,
        source: Source,
        on_kept: Callable[[int], None],
        tell: Callable[[str], None],
        *,
        count: int,
        wanted: int,
    ) -> None:
        """Start without a frame.

        Args:
            writer: Folder of frames, which sources share; the caller closes it.
            source: Source of the results.
            on_kept: Called with the number of frames after each.
            tell: Called if no more can be kept, with the reason.
            count: As of the class.
            wanted: As of the class.
        """
        self.count, self.wanted = count, wanted
        self._writer, self._on_kept, self._tell = writer, on_kept, tell
        self._clock = SourceClock(source)
        self._selector = FrameSelector(_SHARPNESS, _DIFFERENCE)
        self._due = 0.0

    def write(self, result: Result) -> None:
        """Keep the frame if one is due and this one is sharp and new."""
        time_s = self._clock.time_s(result.frame)
        now = time.monotonic()
        if self.count >= self.wanted or now < self._due:
            return
        if self._selector.offer(result.frame.image) is not Verdict.KEPT:
            return
        self._due = now + _EVERY_S
        before = self._writer.written
        try:
            self._writer.add(result.frame.image, self._clock.entry(result.frame, time_s))
        except EdgeloopError as error:
            self._stop(str(error))
            return
        self.count += self._writer.written - before
        self._on_kept(self.count)

    def close(self) -> None:
        """Do nothing: every frame is on disk."""

    def _stop(self, reason: str) -> None:
        self.wanted = 0
        self._tell(reason)
