"""Sink that keeps frames of one source in a ring, by chance and by doubt."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from edgeloop.edge.doubt.judged_frame import JudgedFrame
from edgeloop.edge.doubt.near_threshold import uncertainty
from edgeloop.edge.frames.folder import SourceClock
from edgeloop.edge.result import Sink
from edgeloop.edge.ring.ring_writer import SLOT_FRAMES
from edgeloop.edge.sources.images import ImageFiles

if TYPE_CHECKING:
    from edgeloop.edge.frame import Source
    from edgeloop.edge.result import Result
    from edgeloop.edge.ring.ring_entry import RingModel
    from edgeloop.edge.ring.ring_writer import RingWriter

__all__ = ["RingSink"]


class RingSink(Sink):
    """Hands the frames of one source to the writer of a ring, each with its doubt."""

    def __init__(
        self,
        writer: RingWriter,
        source: Source,
        threshold: Callable[[], float],
        model: Callable[[], RingModel],
    ) -> None:
        """Start without a frame.

        Args:
            writer: Writer, which sources share; the caller closes it.
            source: Source of the results.
            threshold: Gives the lowest minimum confidence of the model that answers now, below 1.
            model: Gives the model that answers now, which a service may swap.
        """
        self._writer, self._source, self._threshold, self._model = writer, source, threshold, model
        self._clock = SourceClock(source)
        self._slot_frames = 1 if isinstance(source, ImageFiles) else SLOT_FRAMES

    def write(self, result: Result) -> None:
        """Judge the frame, and hand it over."""
        time_s = self._clock.time_s(result.frame)
        judged = JudgedFrame(result, time_s, uncertainty(result.detections, self._threshold()))
        entry = self._clock.entry(result.frame, time_s)
        self._writer.add(judged, entry, self._model(), slot_frames=self._slot_frames)

    def close(self) -> None:
        """Let the writer choose among the last frames."""
        self._writer.end_source(self._source.name)
