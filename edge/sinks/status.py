"""One line about how the run is going, about once a second."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TextIO

from edge.sinks.sink import Sink
from edge.sources import Source

if TYPE_CHECKING:
    from edge.metrics import Meter
    from edge.pipeline import Result

__all__ = ["StatusLine"]

PERIOD_S = 1.0


class StatusLine(Sink):
    """Rewrites one line on a terminal; writes line after line into a file."""

    def __init__(self, stream: TextIO, meter: Meter, source: Source) -> None:
        """Watch a run.

        Args:
            stream: Text stream, usually stderr.
            meter: Where the run is counted.
            source: What the run reads from.
        """
        self._stream = stream
        self._meter = meter
        self._source = source
        self._rewrites = stream.isatty()
        self._said_at = time.monotonic()
        self._said_frames = 0

    def write(self, result: Result) -> None:
        now = time.monotonic()
        latency_ms = self._meter.latency_ms if now - self._said_at >= PERIOD_S else None
        if latency_ms is None:
            return
        fps = (self._meter.frames - self._said_frames) / (now - self._said_at)
        expected = f"/{self._source.length}" if self._source.length else ""
        self._say(
            f"{self._meter.frames}{expected} frames  {fps:.1f} fps  "
            f"latency p50 {latency_ms.p50:.1f} p95 {latency_ms.p95:.1f} ms  {self._source.dropped} dropped"
        )
        self._said_at, self._said_frames = now, self._meter.frames

    def close(self) -> None:
        if self._rewrites and self._said_frames:
            self._stream.write("\n")
            self._stream.flush()

    def _say(self, line: str) -> None:
        self._stream.write(f"\r\x1b[K{line}" if self._rewrites else f"{line}\n")
        self._stream.flush()
