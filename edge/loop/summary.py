"""Summaries of a run: counts, rates and latencies, as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeloop.edge.host.memory import peak_memory_mb

if TYPE_CHECKING:
    from edgeloop.edge.tracking.counter import Side, ZoneTotals

__all__ = ["Percentiles", "RunSummary", "TotalSummary"]


@dataclass(frozen=True)
class Percentiles:
    """Percentiles of a duration, in milliseconds."""

    p50: float
    p95: float
    p99: float

    @classmethod
    def of(cls, values_ms: Iterable[float]) -> Percentiles:
        """Compute the percentiles of at least one duration, rounded to a microsecond."""
        p50, p95, p99 = np.percentile(list(values_ms), (50, 95, 99))
        return cls(round(float(p50), 3), round(float(p95), 3), round(float(p99), 3))

    def __str__(self) -> str:
        return f"p50 {self.p50:.1f}  p95 {self.p95:.1f}  p99 {self.p99:.1f} ms"


@dataclass(frozen=True)
class RunSummary:
    """Summary of the run on one source.

    Attributes:
        model: Path of the model.
        source: Name of the source.
        provider: Execution provider that ran the model.
        provider_share: Share of its nodes that ran there, 0 to 1, the others on the CPU; None if unknown.
        threads: CPU threads per inference.
        frames: Frames with a result.
        dropped: Frames of a live source that a newer one replaced.
        stale: Frames of a live source that were too old when their turn came.
        skipped: Frames that could not be read.
        seconds: From the arrival of the first frame to the end of the last result's sinks.
        fps: `frames` per second.
        latency_ms: From the arrival of a frame to its detections, over the last frames; None without a frame.
        stages_ms: Median time of each stage over the last frames.
        detections: Number of detections of each class.
        peak_memory_mb: Largest resident memory of the process so far, in MB (10^6 bytes).
        zones: Totals by zone and class; None without zones.
        lines: Crossings by line, class and direction; None without zones.
        unchanged: Those of `frames` that were not detected again, as nothing had changed; None if all were.
        drift: Looks at what it showed: their number under `looks`, and the share of `ok`, `blind`, `moved`
            and `unfamiliar`; None if the model does not know its training frames.
        error: Failure that ended the source early; None if there was none.
    """

    model: str
    source: str
    provider: str
    provider_share: float | None
    threads: int
    frames: int
    dropped: int
    stale: int
    skipped: int
    seconds: float
    fps: float
    latency_ms: Percentiles | None
    stages_ms: Mapping[str, float]
    detections: Mapping[str, int]
    peak_memory_mb: float
    zones: Mapping[str, Mapping[str, ZoneTotals]] | None = None
    lines: Mapping[str, Mapping[str, Mapping[Side, int]]] | None = None
    unchanged: int | None = None
    drift: Mapping[str, float] | None = None
    error: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Build the JSON of `--summary`, without what is None and need not be there."""
        optional = ("zones", "lines", "unchanged", "drift", "error")
        return {key: value for key, value in asdict(self).items() if value is not None or key not in optional}


@dataclass(frozen=True)
class TotalSummary:
    """Summary of the run on several sources: each in `sources`, the other attributes over all of them."""

    model: str
    provider: str
    provider_share: float | None
    threads: int
    frames: int
    dropped: int
    stale: int
    skipped: int
    seconds: float
    fps: float
    peak_memory_mb: float
    sources: tuple[RunSummary, ...]

    @classmethod
    def of(cls, sources: Sequence[RunSummary], seconds: float) -> TotalSummary:
        """Add up at least one source; `seconds` is from the first frame of any to the last result."""
        frames = sum(source.frames for source in sources)
        return cls(
            model=sources[0].model,
            provider=sources[0].provider,
            provider_share=sources[0].provider_share,
            threads=sources[0].threads,
            frames=frames,
            dropped=sum(source.dropped for source in sources),
            stale=sum(source.stale for source in sources),
            skipped=sum(source.skipped for source in sources),
            seconds=round(seconds, 3),
            fps=round(frames / seconds, 2) if seconds else 0.0,
            peak_memory_mb=peak_memory_mb(),
            sources=tuple(sources),
        )

    def as_dict(self) -> dict[str, Any]:
        """Build the JSON of `--summary`."""
        return {**asdict(self), "sources": [source.as_dict() for source in self.sources]}
