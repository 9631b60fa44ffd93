"""One line about how the run is going, about once a second."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TextIO

from edgeloop.edge.sinks.sink import Sink

if TYPE_CHECKING:
    from edgeloop.edge.loop.pipeline import Result
    from edgeloop.edge.loop.stream import Camera

__all__ = ["StatusLine"]

PERIOD_S = 1.0


class StatusLine(Sink):
    """Rewrites one line on a terminal; writes line after line into a file, one a source."""

    def __init__(self, stream: TextIO, cameras: Sequence[Camera]) -> None:
        """Watch a run.

        Args:
            stream: Text stream, usually stderr.
            cameras: What the run reads from, and where it is counted.
        """
        self._stream = stream
        self._cameras = cameras
        self._rewrites = stream.isatty()
        self._said_at = time.monotonic()
        self._said_frames = [0] * len(cameras)
        self._said = False

    def write(self, result: Result) -> None:
        now = time.monotonic()
        seconds = now - self._said_at
        frames = [camera.meter.frames for camera in self._cameras]
        if seconds < PERIOD_S or not any(frames):
            return
        before = zip(frames, self._said_frames, strict=True)
        for line in self._lines([(total - said) / seconds for total, said in before]):
            self._say(line)
        self._said_at, self._said_frames, self._said = now, frames, True

    def close(self) -> None:
        if self._rewrites and self._said:
            self._stream.write("\n")
            self._stream.flush()

    def _lines(self, rates: Sequence[float]) -> Iterator[str]:
        if len(self._cameras) == 1:
            yield _figures(self._cameras[0], rates[0])
        elif self._rewrites:
            each = (_brief(camera, rate) for camera, rate in zip(self._cameras, rates, strict=True))
            yield f"{sum(rates):.1f} fps | {' | '.join(each)}"[: shutil.get_terminal_size().columns - 1]
        else:
            for camera, rate in zip(self._cameras, rates, strict=True):
                yield f"{camera.source.name}: {_figures(camera, rate)}"

    def _say(self, line: str) -> None:
        self._stream.write(f"\r\x1b[K{line}" if self._rewrites else f"{line}\n")
        self._stream.flush()


def _figures(camera: Camera, fps: float) -> str:
    meter, source = camera.meter, camera.source
    expected = f"/{source.length}" if source.length else ""
    latency_ms = meter.latency_ms
    latency = f"latency p50 {latency_ms.p50:.1f} p95 {latency_ms.p95:.1f} ms  " if latency_ms else ""
    return f"{meter.frames}{expected} frames  {fps:.1f} fps  {latency}{source.dropped} dropped"


def _brief(camera: Camera, fps: float) -> str:
    latency_ms = camera.meter.latency_ms
    latency = f" p95 {latency_ms.p95:.0f} ms" if latency_ms else ""
    name = camera.source.name if len(camera.source.name) <= 16 else f"..{camera.source.name[-14:]}"
    return f"{name} {fps:.1f} fps{latency} {camera.source.dropped} dropped"
