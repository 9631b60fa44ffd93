"""Frames that a loop learns from, kept while the teacher answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.frame import Source
from edgeloop.edge.frames.folder import FRAME_LIST, FrameWriter, SourceClock, read_frames
from edgeloop.edge.loop.cell_changes import VISIBLE, change_energy, shrink_to_cells
from edgeloop.edge.result import Result, Sink
from edgeloop.labeling.frames.selection import FrameSelector, Verdict
from edgeloop.labeling.lineage.loop_folder import LoopFolder
from edgeloop.labeling.teaching.open_loop import loop_exemplars
from edgeloop.models.errors import EdgeloopError, NoInputError

__all__ = ["KeptFrames", "count_kept", "drawn_pictures"]

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


def drawn_pictures(loop: LoopFolder) -> list[NDArray[np.float32]]:
    """Make the small pictures of the frames that a person drew boxes on; none if there are no such frames."""
    if not loop.exemplars.is_file():
        return []
    return [shrink_to_cells(frame.image()) for frame in loop_exemplars(loop).frames]


class KeptFrames(Sink):
    """Keeps sharp frames that differ from the last ones, now and then, as many as are wanted.

    Frames that a person drew boxes on are left out: by them the gate compares the student with the teacher.

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
        drawn: Iterable[NDArray[np.float32]] = (),
    ) -> None:
        """Start without a frame.

        Args:
            writer: Folder of frames, which sources share; the caller closes it.
            source: Source of the results.
            on_kept: Called with the number of frames after each.
            tell: Called if no more can be kept, with the reason.
            count: As of the class.
            wanted: As of the class.
            drawn: Pictures that are left out, as of `drawn_pictures`.
        """
        self._drawn = tuple(drawn)
        self.count, self.wanted = count, wanted
        self._writer, self._on_kept, self._tell = writer, on_kept, tell
        self._clock = SourceClock(source)
        self._selector = FrameSelector(_SHARPNESS, _DIFFERENCE)
        self._due = 0.0

    def write(self, result: Result) -> None:
        """Keep the frame if one is due and this one is sharp and new."""
        time_s = self._clock.time_s(result.frame)
        now = time.monotonic()
        if self.count >= self.wanted or now < self._due or self._is_drawn(result.frame.image):
            return
        if self._selector.offer(result.frame.image) is not Verdict.KEPT:
            return
        self._due = now + _EVERY_S
        before = self._writer.written
        try:
            self._writer.add(result.frame.image, self._clock.entry(result.frame, time_s))
        except (EdgeloopError, OSError) as error:  # a full disk ends no answers
            self._stop(str(error))
            return
        self.count += self._writer.written - before
        self._on_kept(self.count)

    def close(self) -> None:
        """Do nothing: every frame is on disk."""

    def _is_drawn(self, image: NDArray[np.uint8]) -> bool:
        """True for a picture that a person drew boxes on: it may have been compressed since."""
        small = shrink_to_cells(image) if self._drawn else None
        return small is not None and any(
            own.shape == small.shape and float(change_energy(small - own).max()) < VISIBLE
            for own in self._drawn
        )

    def _stop(self, reason: str) -> None:
        self.wanted = 0
        self._tell(reason)
