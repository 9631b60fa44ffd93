"""What a run measured: bounded while it runs, a frozen summary when it ends."""

from __future__ import annotations

import re
import resource
import sys
import time
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil

if TYPE_CHECKING:
    from edgeloop.edge.loop.pipeline import Result
    from edgeloop.edge.tracking.counter import Side, ZoneTotals

__all__ = ["Meter", "Percentiles", "RunSummary", "TotalSummary", "peak_memory_mb"]

WINDOW = 1024
"""Percentiles look at this many frames at most: half a minute at 30 a second."""


@dataclass(frozen=True)
class Percentiles:
    """The distribution of a duration, in milliseconds."""

    p50: float
    p95: float
    p99: float

    @classmethod
    def of(cls, values_ms: Iterable[float]) -> Percentiles:
        """Summarise a distribution.

        Args:
            values_ms: Durations in milliseconds, at least one.

        Returns:
            Their percentiles, rounded to a microsecond.
        """
        p50, p95, p99 = np.percentile(list(values_ms), (50, 95, 99))
        return cls(round(float(p50), 3), round(float(p95), 3), round(float(p99), 3))


@dataclass(frozen=True)
class RunSummary:
    """What the run on one source did and how fast.

    Attributes:
        model: Path of the model.
        source: Name of the source.
        provider: Execution provider that ran the model.
        provider_share: Part of its nodes that ran there, 0 to 1, the others on the CPU; None where unknown.
        threads: CPU threads of one inference.
        frames: Frames that went through the model.
        dropped: Frames of a live source that a newer one replaced.
        stale: Frames of a live source that were too old when their turn came.
        skipped: Frames that could not be read.
        seconds: From the arrival of the first frame to the last result acted upon.
        fps: `frames` over `seconds`.
        latency_ms: From the arrival of a frame to its detections, over the last frames; None without a frame.
        stages_ms: Median time of each stage over the last frames.
        detections: Number of detections of each class.
        peak_memory_mb: Largest resident memory of the process so far, in MB (10^6 bytes).
        zones: Totals by zone and class; None where nothing counts.
        lines: Crossings by line, class and direction; None where nothing counts.
        error: What ended the source too early; None where nothing did, or it is the only one.
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
    error: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The JSON that `--summary` writes, without what there was none of: zones, lines, an error."""
        optional = ("zones", "lines", "error")
        return {key: value for key, value in asdict(self).items() if value is not None or key not in optional}


@dataclass(frozen=True)
class TotalSummary:
    """What the run on several sources did and how fast.

    Attributes:
        model: Path of the model.
        provider: Execution provider that ran the model.
        provider_share: Part of its nodes that ran there, 0 to 1, the others on the CPU; None where unknown.
        threads: CPU threads of one inference.
        frames: Frames of all sources that went through the model.
        dropped: Frames of live sources that a newer one replaced.
        stale: Frames of live sources that were too old when their turn came.
        seconds: From the arrival of the first frame to the last result acted upon.
        fps: `frames` over `seconds`.
        peak_memory_mb: Largest resident memory of the process so far, in MB (10^6 bytes).
        sources: Each on its own.
    """

    model: str
    provider: str
    provider_share: float | None
    threads: int
    frames: int
    dropped: int
    stale: int
    seconds: float
    fps: float
    peak_memory_mb: float
    sources: tuple[RunSummary, ...]

    @classmethod
    def of(cls, sources: Sequence[RunSummary], seconds: float) -> TotalSummary:
        """Sum up several sources of one run.

        Args:
            sources: The figures of each, at least one.
            seconds: From the arrival of the first frame to the last result acted upon.

        Returns:
            The figures of all.
        """
        frames = sum(source.frames for source in sources)
        return cls(
            model=sources[0].model,
            provider=sources[0].provider,
            provider_share=sources[0].provider_share,
            threads=sources[0].threads,
            frames=frames,
            dropped=sum(source.dropped for source in sources),
            stale=sum(source.stale for source in sources),
            seconds=round(seconds, 3),
            fps=round(frames / seconds, 2) if seconds else 0.0,
            peak_memory_mb=peak_memory_mb(),
            sources=tuple(sources),
        )

    def as_dict(self) -> dict[str, Any]:
        """The JSON that `--summary` writes."""
        return {**asdict(self), "sources": [source.as_dict() for source in self.sources]}


class Meter:
    """Counts and times the results of one source in bounded memory.

    Attributes:
        frames: Results so far.
        started_at: Monotonic clock in seconds when the first frame arrived; 0 before it.
        ended_at: Monotonic clock in seconds when the last result had been acted upon; 0 before it.
    """

    def __init__(self, names: Sequence[str]) -> None:
        """Start at zero.

        Args:
            names: The model's class names.
        """
        self.frames = 0
        self._names = names
        self._found: Counter[int] = Counter()
        self._latencies_ms: deque[float] = deque(maxlen=WINDOW)
        self._stages_ms: dict[str, deque[float]] = {}
        self.started_at = self.ended_at = 0.0

    def add(self, result: Result) -> None:
        """Count a result that has just been acted upon.

        Args:
            result: Its `act` stage is taken to end now.
        """
        self.ended_at = time.monotonic()
        if self.frames == 0:
            self.started_at = result.frame.captured_at
        self.frames += 1
        self._found.update(result.detections.class_id.tolist())
        self._latencies_ms.append(result.timings.latency_ms)
        act_ms = (self.ended_at - result.frame.captured_at) * 1000 - result.timings.latency_ms
        for stage, spent_ms in {**result.timings.stages_ms, "act": act_ms}.items():
            self._stages_ms.setdefault(stage, deque(maxlen=WINDOW)).append(spent_ms)

    @property
    def latency_ms(self) -> Percentiles | None:
        """Capture to result over the last frames; None before the first."""
        return Percentiles.of(self._latencies_ms) if self._latencies_ms else None

    @property
    def stages_ms(self) -> Mapping[str, float]:
        """Median time of each stage over the last frames."""
        return {stage: Percentiles.of(spent).p50 for stage, spent in self._stages_ms.items()}

    def summary(
        self,
        *,
        model: str,
        source: str,
        provider: str,
        provider_share: float | None,
        threads: int,
        dropped: int,
        stale: int,
        skipped: int,
    ) -> RunSummary:
        """Sum up the run.

        Args:
            model: Path of the model.
            source: Name of the source.
            provider: Execution provider that ran the model.
            provider_share: Part of its nodes that ran there; None where unknown.
            threads: CPU threads of one inference.
            dropped: Frames that the source dropped.
            stale: Frames that the source found too old.
            skipped: Frames that the source could not read.

        Returns:
            The figures so far.
        """
        seconds = self.ended_at - self.started_at
        return RunSummary(
            model=model,
            source=source,
            provider=provider,
            provider_share=provider_share,
            threads=threads,
            frames=self.frames,
            dropped=dropped,
            stale=stale,
            skipped=skipped,
            seconds=round(seconds, 3),
            fps=round(self.frames / seconds, 2) if seconds else 0.0,
            latency_ms=self.latency_ms,
            stages_ms=self.stages_ms,
            detections={self._names[class_id]: count for class_id, count in self._found.most_common()},
            peak_memory_mb=peak_memory_mb(),
        )


def peak_memory_mb(pid: int | None = None) -> float:
    """Largest resident memory of a process so far.

    Args:
        pid: Its number; None for this process.

    Returns:
        MB (10^6 bytes), 0 of one that has ended. Of another process, where the system does not keep the peak
        (none but Linux does), what it has now.
    """
    # On Linux ru_maxrss is inherited from the parent over fork and exec; VmHWM is the program's own.
    status = Path(f"/proc/{'self' if pid is None else pid}/status")
    if status.exists():
        match = re.search(r"VmHWM:\s+(\d+)", status.read_text())
        return round(int(match[1]) * 1024 / 1e6, 1) if match else 0.0
    if pid is not None:
        return round(psutil.Process(pid).memory_info().rss / 1e6, 1)
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6, 1)
