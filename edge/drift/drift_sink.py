"""Sink that watches what one source shows, and logs what is unlike the training frames of its model."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from edgeloop.edge.drift.drift_watch import DriftChange, DriftWatch
from edgeloop.edge.result import Sink

if TYPE_CHECKING:
    from edgeloop.edge.drift.drift_judge import DriftKind
    from edgeloop.edge.loop.stream import Stream
    from edgeloop.edge.result import Result
    from edgeloop.models.bundle.frame_statistics import FrameStatistics

__all__ = ["DriftSink"]

log = logging.getLogger(__name__)

_SAID: Mapping[DriftKind, str] = {
    "blind": "next to nothing is to be seen: it is dark, dazzled, covered or out of focus",
    "moved": "the camera was moved, or is not the one of the training frames",
    "unfamiliar": "it shows what is unlike the training frames; detections may be worse",
}


class DriftSink(Sink):
    """Watch of one source, by the statistics of the model that looks at it."""

    def __init__(
        self,
        stream: Stream,
        statistics: Callable[[], FrameStatistics | None],
        on_look: Callable[[DriftWatch | None], object] | None = None,
    ) -> None:
        """Prepare.

        Args:
            stream: Stream of the source; its `drift` gets the shares of the looks.
            statistics: Statistics of the model at the moment, which may be swapped; None if they are unknown.
            on_look: Called with the watch after each look; with None when a model without statistics takes
                over.
        """
        self._stream, self._statistics, self._on_look = stream, statistics, on_look
        self._known: FrameStatistics | None = None
        self._watch: DriftWatch | None = None

    def write(self, result: Result) -> None:
        """Look at the frame if it is time."""
        known = self._statistics()
        if known is not self._known:
            same, self._known = known == self._known, known
            if not same:
                self._begin(known)
        if self._watch is None:
            return
        frame = result.frame
        looks = self._watch.looks
        change = self._watch.add(frame.image, self._stream.seconds(frame))
        if self._watch.looks == looks:
            return
        self._stream.drift = {"looks": self._watch.looks, **self._watch.shares}
        if change is not None:
            self._say(change)
        self._tell()

    def close(self) -> None:
        """Do nothing: an end of the source says nothing about the camera."""

    def _begin(self, known: FrameStatistics | None) -> None:
        """Start anew with another model; what was said is over, as it compared with other frames."""
        if self._watch is not None and self._watch.kind != "ok":
            self._say(DriftChange(self._watch.kind, "ok", ""))
        self._watch = None if known is None else DriftWatch(known)
        if known is None:
            self._stream.drift = None
            self._tell()

    def _tell(self) -> None:
        if self._on_look is not None:
            self._on_look(self._watch)

    def _say(self, change: DriftChange) -> None:
        name = self._stream.source.name
        if change.now == "ok":
            over = {"event": "camera-drift-over", "camera": name}
            log.warning("%s: drift is over, it is not %s any more", name, change.before, extra=over)
            return
        begun = {"event": "camera-drift", "camera": name}
        text = "%s: drift, %s: %s (%s)"
        log.warning(text, name, change.now, _SAID[change.now], change.reason, extra=begun)
