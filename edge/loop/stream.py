"""One source of a run, with its meter, tracker, zones and sinks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from edgeloop.edge.frame import DEFAULT_FPS, Frame, Source
from edgeloop.edge.loop.meter import Meter
from edgeloop.edge.loop.summary import RunSummary
from edgeloop.edge.result import Result, Sink

if TYPE_CHECKING:
    from edgeloop.edge.runtime.detector import Detector
    from edgeloop.edge.tracking import Tracker, ZoneCounter

__all__ = ["Stream"]


@dataclass(slots=True, eq=False)
class Stream:
    """One source of a run, and everything that belongs to it alone.

    Attributes:
        source: Where frames come from.
        meter: Counts and times its results.
        sinks: Consumers of its results alone; closed as soon as it ends.
        on_result: Called with each of its results, after the sinks.
        tracker: Gives its objects ids; None for no tracking.
        zones: Counts its objects, which needs a tracker; None for no counting.
        error: The failure that ended it; None if there was none.
    """

    source: Source
    meter: Meter
    sinks: list[Sink] = field(default_factory=list)
    on_result: Callable[[Result], object] | None = None
    tracker: Tracker | None = None
    zones: ZoneCounter | None = None
    error: Exception | None = None

    def seconds(self, frame: Frame) -> float:
        """Time of a frame by the clock of the scene, not of the processing: for speeds and dwell times.

        Args:
            frame: A frame of this source.

        Returns:
            Seconds from some moment on: of its arrival if the source is live, else within the footage.
        """
        if self.source.live:
            return frame.captured_at
        return frame.index / (self.source.fps or DEFAULT_FPS)

    def write(self, result: Result) -> None:
        """Hand a result to the stream's own consumers.

        Args:
            result: A result of this source.
        """
        for sink in self.sinks:
            sink.write(result)
        if self.on_result is not None:
            self.on_result(result)

    def summary(self, detector: Detector) -> RunSummary:
        """Summarize the run on this source.

        Args:
            detector: The model that ran on it.

        Returns:
            Counts, rates and latencies so far.
        """
        figures = self.meter.summary(
            model=str(detector.path),
            source=self.source.name,
            provider=detector.provider,
            provider_share=detector.placement.share,
            threads=detector.threads.count,
            dropped=self.source.dropped,
            stale=self.source.stale,
            skipped=self.source.skipped,
        )
        if self.zones is None:
            return figures
        return replace(figures, zones=self.zones.zone_totals(), lines=self.zones.line_totals())

    def end(self, error: Exception | None) -> None:
        """Close the stream's sinks. A sink that cannot be completed counts as a failure of the stream.

        Args:
            error: The failure that ended the stream; None at its regular end.
        """
        self.error = error
        for sink in self.sinks:
            try:
                sink.close()
            except Exception as failed:  # the other sinks are still to be closed
                self.error = self.error or failed
