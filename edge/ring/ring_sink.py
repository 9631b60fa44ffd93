"""Sink that keeps frames of one source in a ring, by chance and by doubt."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from edgeloop.edge.frames.folder import SourceClock
from edgeloop.edge.result import Sink
from edgeloop.edge.ring.ring_writer import SLOT_FRAMES
from edgeloop.edge.sources.images import ImageFiles

if TYPE_CHECKING:
    from edgeloop.edge.doubt.judged_frame import JudgedFrame
    from edgeloop.edge.frame import Source
    from edgeloop.edge.result import Result
    from edgeloop.edge.ring.ring_entry import RingModel
    from edgeloop.edge.ring.ring_writer import RingWriter

__all__ = ["FrameJudge", "RingSink"]


class FrameJudge(Protocol):
    """Judge of the frames of one source, such as `FrameDoubt`; each takes the frames after it."""

    def add(self, result: Result, time_s: float) -> JudgedFrame | None:
        """Take the next result. Returns the oldest that can be judged now, if there is one."""
        ...

    def close(self) -> JudgedFrame | None:
        """Judge the last result."""
        ...


class RingSink(Sink):
    """Hands the frames of one source to the writer of a ring, each with its doubt."""

    def __init__(
        self, writer: RingWriter, source: Source, judge: FrameJudge, model: Callable[[], RingModel]
    ) -> None:
        """Start without a frame.

        Args:
            writer: Writer, which sources share; the caller closes it.
            source: Source of the results.
            judge: Judge of its frames.
            model: Gives the model that answers now, which a service may swap.
        """
        self._writer, self._source, self._judge, self._model = writer, source, judge, model
        self._clock = SourceClock(source)
        self._slot_frames = 1 if isinstance(source, ImageFiles) else SLOT_FRAMES
        self._models: deque[RingModel] = deque()  # of the results that are not judged yet

    def write(self, result: Result) -> None:
        """Judge the frame before, and hand it over."""
        self._models.append(self._model())
        self._hand_over(self._judge.add(result, self._clock.time_s(result.frame)))

    def close(self) -> None:
        """Hand over the last frame."""
        self._hand_over(self._judge.close())
        self._writer.end_source(self._source.name)

    def _hand_over(self, judged: JudgedFrame | None) -> None:
        if judged is not None:
            entry = self._clock.entry(judged.result.frame, judged.time_s)
            model = self._models.popleft()
            self._writer.add(judged, entry, model, slot_frames=self._slot_frames)
