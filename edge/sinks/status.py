"""Status line of a run, about once per second."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TextIO

from edgeloop.edge.result import Sink

if TYPE_CHECKING:
    from edgeloop.edge.loop.stream import Stream
    from edgeloop.edge.result import Result

__all__ = ["StatusLine"]

PERIOD_S = 1.0


class StatusLine(Sink):
    """Rewrites one line on a terminal; writes one line per source into a file."""

    def __init__(self, out: TextIO, streams: Sequence[Stream]) -> None:
        """Start to watch a run.

        Args:
            out: Text stream, usually stderr.
            streams: The sources of the run, with their meters.
        """
        self._out = out
        self._streams = streams
        self._rewrites = out.isatty()
        self._shown_at = time.monotonic()
        self._shown_frames = [0] * len(streams)

    def write(self, result: Result) -> None:  # noqa: ARG002  the meters count the results
        """Write the status if a second has passed."""
        now = time.monotonic()
        seconds = now - self._shown_at
        frames = [stream.meter.frames for stream in self._streams]
        if seconds < PERIOD_S or not any(frames):
            return
        before = zip(frames, self._shown_frames, strict=True)
        for line in self._lines([(total - shown) / seconds for total, shown in before]):
            self._print(line)
        self._shown_at, self._shown_frames = now, frames

    def close(self) -> None:
        """End the line on a terminal."""
        if self._rewrites and any(self._shown_frames):
            self._out.write("\n")
            self._out.flush()

    def _lines(self, rates: Sequence[float]) -> Iterator[str]:
        if len(self._streams) == 1:
            yield _details(self._streams[0], rates[0])
        elif self._rewrites:
            each = (_brief(stream, rate) for stream, rate in zip(self._streams, rates, strict=True))
            yield f"{sum(rates):.1f} fps | {' | '.join(each)}"[: shutil.get_terminal_size().columns - 1]
        else:
            for stream, rate in zip(self._streams, rates, strict=True):
                yield f"{stream.source.name}: {_details(stream, rate)}"

    def _print(self, line: str) -> None:
        self._out.write(f"\r\x1b[K{line}" if self._rewrites else f"{line}\n")
        self._out.flush()


def _details(stream: Stream, fps: float) -> str:
    meter, source = stream.meter, stream.source
    expected = f"/{source.length}" if source.length else ""
    latency_ms = meter.latency_ms
    latency = f"latency p50 {latency_ms.p50:.1f} p95 {latency_ms.p95:.1f} ms  " if latency_ms else ""
    return f"{meter.frames}{expected} frames  {fps:.1f} fps  {latency}{source.dropped} dropped"


def _brief(stream: Stream, fps: float) -> str:
    latency_ms = stream.meter.latency_ms
    latency = f" p95 {latency_ms.p95:.0f} ms" if latency_ms else ""
    name = stream.source.name if len(stream.source.name) <= 16 else f"..{stream.source.name[-14:]}"
    return f"{name} {fps:.1f} fps{latency} {stream.source.dropped} dropped"
