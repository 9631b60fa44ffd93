"""Ring of a loop, which keeps frames from the first answer of a student on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edgeloop.edge.frame import Source
from edgeloop.edge.result import Result, Sink
from edgeloop.edge.ring.ring_budget import RingBudget
from edgeloop.edge.ring.ring_entry import RingModel
from edgeloop.edge.ring.ring_sink import RingSink
from edgeloop.edge.ring.ring_writer import RingWriter
from edgeloop.models.errors import EdgeloopError

__all__ = ["StudentRing"]


class StudentRing(Sink):
    """Keeps frames by chance and by doubt, once a student answers."""

    def __init__(
        self,
        folder: Path,
        source: Source,
        model: Callable[[], RingModel | None],
        tell: Callable[[str], None],
    ) -> None:
        """Wait for a student.

        Args:
            folder: Folder of the ring, created with the first frame.
            source: Source of the results.
            model: Gives the student that answers; None while the teacher does.
            tell: Called with the reason if no ring can be kept.
        """
        self._folder, self._source, self._model, self._tell = folder, source, model, tell
        self._writer: RingWriter | None = None
        self._ring: RingSink | None = None
        self._failed = False

    def write(self, result: Result) -> None:
        """Hand the frame to the ring if a student answers."""
        model = self._model()
        if model is None or self._failed:
            return
        if self._ring is None:

            def answering() -> RingModel:
                """Student that answers now; generations take over from each other."""
                return self._model() or model

            try:
                self._writer = RingWriter(self._folder, RingBudget())
            except EdgeloopError as error:
                self._failed = True
                self._tell(f"no frames are kept in the ring: {error}")
                return
            self._ring = RingSink(self._writer, self._source, lambda: answering().threshold, answering)
        self._ring.write(result)

    def close(self) -> None:
        """Complete the ring."""
        if self._ring is not None:
            self._ring.close()
        if self._writer is not None:
            self._writer.close()
