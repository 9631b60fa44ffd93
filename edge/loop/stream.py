"""One source of a run, with its meter, tracker, zones and sinks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edgeloop.edge.frame import DEFAULT_FPS, Frame, Source
from edgeloop.edge.host.memory import peak_memory_mb
from edgeloop.edge.loop.meter import Meter
from edgeloop.edge.loop.summary import RunSummary
from edgeloop.edge.result import Result, Sink
from edgeloop.models.errors import UsageError

if TYPE_CHECKING:
    from edgeloop.edge.loop.change_gate import ChangeGate
    from edgeloop.edge.runtime.frame_detector import FrameDetector
    from edgeloop.edge.tracking import IgnoreMask, Tracker, ZoneCounter
    from edgeloop.models.detections import Detections

__all__ = ["Stream"]


@dataclass(slots=True, eq=False)
class Stream:
    """One source of a run, and everything that belongs to it alone.

    Attributes:
        source: Source of the frames.
        meter: Counts and times its results.
        sinks: Consumers of its results alone, in this order. Closed and removed as soon as it ends.
        on_result: Called with each of its results, after the sinks.
        tracker: Gives its objects ids; None for no tracking.
        zones: Counts its objects, which needs a tracker; None for no counting.
        ignore: Drops what is in regions to ignore, before tracking; None for no such regions.
        select: Keeps the detections that count, before tracking; None for all.
        gate: Finds the frames in which nothing changed, which are not detected again; None to detect in all.
        on_failure: Called with the error of a frame in which nothing could be detected, or that tracking or a
            sink failed on. True to go on with the next frame; None to end the stream.
        failed: Frames so far in which one of its parts failed.
        unchanged: Results so far that are those of an earlier frame, as nothing had changed since.
        drift: Looks at what it shows: their number under "looks", and the share of each kind; None without
            any. A sink of its own keeps it.
        error: The failure that ended it; None if there was none.
    """

    source: Source
    meter: Meter
    sinks: list[Sink] = field(default_factory=list)
    on_result: Callable[[Result], object] | None = None
    tracker: Tracker | None = None
    zones: ZoneCounter | None = None
    ignore: IgnoreMask | None = None
    select: Callable[[Detections], Detections] | None = None
    gate: ChangeGate | None = None
    on_failure: Callable[[Exception], bool] | None = None
    failed: int = 0
    unchanged: int = 0
    drift: Mapping[str, float] | None = None
    error: Exception | None = None

    def __post_init__(self) -> None:
        if self.zones is not None and self.tracker is None:
            raise UsageError("zones count the objects of a tracker, got none; `open_tracker` makes one")
        self.sinks = [*self.sinks]  # `end` removes them from the list

    def seconds(self, frame: Frame) -> float:
        """Time of a frame in seconds, later than that of the frame before."""
        if frame.time_s is not None:
            return frame.time_s
        if self.source.live:
            return frame.captured_at
        return frame.index / (self.source.fps or DEFAULT_FPS)

    def keep(self, detections: Detections, size: tuple[int, int]) -> Detections:
        """Select the detections that count in a frame of a size (width, height), before tracking."""
        if self.ignore is not None:
            detections = self.ignore.drop(detections, size)
        return detections if self.select is None else self.select(detections)

    def write(self, result: Result) -> None:
        """Hand a result to the stream's own sinks, then to `on_result`."""
        for sink in self.sinks:
            sink.write(result)
        if self.on_result is not None:
            self.on_result(result)

    def survives(self, error: Exception) -> bool:
        """Count a frame that failed; True if the stream goes on with its next frame."""
        self.failed += 1
        return self.on_failure is not None and self.on_failure(error)

    def summary(self, detector: FrameDetector) -> RunSummary:
        """Summarize the run of a detector on this source so far."""
        meter, source, zones = self.meter, self.source, self.zones
        return RunSummary(
            model=str(detector.path),
            source=source.name,
            provider=detector.provider,
            provider_share=detector.placement.share,
            threads=detector.threads.count,
            frames=meter.frames,
            dropped=source.dropped,
            stale=source.stale,
            skipped=source.skipped,
            seconds=round(meter.seconds, 3),
            fps=round(meter.frames / meter.seconds, 2) if meter.seconds else 0.0,
            latency_ms=meter.latency_ms,
            stages_ms=meter.stages_ms,
            detections=meter.detections,
            peak_memory_mb=peak_memory_mb(),
            zones=None if zones is None else zones.zone_totals(),
            lines=None if zones is None else zones.line_totals(),
            unchanged=None if self.gate is None else self.unchanged,
            drift=self.drift,
        )

    def end(self, error: Exception | None = None) -> None:
        """Close the stream's sinks, each once, and keep the first failure: `error`, or of a sink."""
        self.error = self.error or error
        while self.sinks:
            try:
                self.sinks.pop(0).close()
            except Exception as failed:  # the other sinks are still to be closed
                self.error = self.error or failed
