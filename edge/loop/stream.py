"""One source of a run, and everything that belongs to it alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from edgeloop.edge.frame import Frame
from edgeloop.edge.loop.meter import Meter, RunSummary
from edgeloop.edge.sources import Source
from edgeloop.edge.sources.source import DEFAULT_FPS

if TYPE_CHECKING:
    from edgeloop.edge.runtime.detector import Detector
    from edgeloop.edge.sinks import Sink
    from edgeloop.edge.tracking import ZoneCounter
    from edgeloop.edge.tracking.tracker import Tracker

__all__ = ["Camera"]


@dataclass(slots=True, eq=False)
class Camera:
    """A source with its figures.

    Attributes:
        source: Where frames come from.
        meter: Counts and times its results.
        sinks: What its results go to and no others' do; closed as soon as it ends.
        tracker: Gives its objects ids; None for no tracking.
        zones: Counts its objects, which needs a tracker; None for no counting.
        error: What ended it too early; None where nothing did.
    """

    source: Source
    meter: Meter
    sinks: Sequence[Sink] = ()
    tracker: Tracker | None = None
    zones: ZoneCounter | None = None
    error: Exception | None = None

    def seconds(self, frame: Frame) -> float:
        """When a frame was taken, for speeds and stays: by the clock of the scene, not of the processing.

        Args:
            frame: One of this source.

        Returns:
            Seconds from some moment on: of its arrival where the source is live, else within the footage.
        """
        if self.source.live:
            return frame.captured_at
        return frame.index / (self.source.fps or DEFAULT_FPS)

    def summary(self, detector: Detector) -> RunSummary:
        """Sum up the run on this source.

        Args:
            detector: What ran on it.

        Returns:
            The figures so far.
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
        """Finish what was begun for this source.

        Args:
            error: What ended it, None at its regular end.
        """
        self.error = error
        for sink in self.sinks:
            sink.close()
