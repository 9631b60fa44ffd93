"""Count and time the results of one source, in bounded memory."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence

from edgeloop.edge.loop.summary import Percentiles
from edgeloop.edge.result import Result

__all__ = ["Meter"]

WINDOW = 1024
"""Number of last frames over which percentiles are computed: half a minute at 30 per second."""


class Meter:
    """Counts and times the results of one source in bounded memory.

    Attributes:
        names: Class names of the model.
        frames: Results so far.
        started_at: Monotonic clock in seconds when the first frame arrived; 0 before it.
        ended_at: Monotonic clock in seconds when the last result had been acted upon; 0 before it.
    """

    def __init__(self, names: Sequence[str]) -> None:
        """Start at zero, with the model's class names."""
        self.frames = 0
        self.names = names
        self._found: Counter[int] = Counter()
        self._latencies_ms: deque[float] = deque(maxlen=WINDOW)
        self._stages_ms: dict[str, deque[float]] = {}
        self.started_at = self.ended_at = 0.0

    def add(self, result: Result) -> None:
        """Count a result that has just been acted upon: its `act` stage ends now."""
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
    def seconds(self) -> float:
        """Time in seconds from the first frame to the last result."""
        return self.ended_at - self.started_at

    @property
    def detections(self) -> Mapping[str, int]:
        """Number of detections of each class, the most frequent first."""
        return {self.names[class_id]: count for class_id, count in self._found.most_common()}

    @property
    def latency_ms(self) -> Percentiles | None:
        """From the arrival of a frame to its detections, over the last frames; None before the first."""
        return Percentiles.of(self._latencies_ms) if self._latencies_ms else None

    @property
    def stages_ms(self) -> Mapping[str, float]:
        """Median time of each stage over the last frames."""
        return {stage: Percentiles.of(spent).p50 for stage, spent in self._stages_ms.items()}
