"""Time a CLI command in a subprocess: start-up, frames per second, peak memory."""

from __future__ import annotations

import re
import subprocess
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeloop.edge.host.memory import peak_memory_mb
from edgeloop.models.errors import UnavailableError

__all__ = ["ProcessTiming", "time_command"]

_MEMORY_EVERY = 10
"""Frames between two readings of the memory: the system keeps the peak, and reading it takes time."""


@dataclass(frozen=True)
class ProcessTiming:
    """Speed and memory of one process.

    Attributes:
        fps: Frames per second from the first result to the last; 0 for a single frame.
        first_detection_s: Seconds from the start of the process to its first result.
        peak_memory_mb: Largest resident memory of the process, in MB (10^6 bytes).
    """

    fps: float
    first_detection_s: float
    peak_memory_mb: float


def time_command(
    name: str,
    command: Sequence[str],
    *,
    frame: re.Pattern[str],
    frames: int,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    limit_s: float = 600,
) -> ProcessTiming:
    """Start a command, time the lines that it prints for its frames, and kill it after the last.

    Args:
        name: Name of the command in error messages.
        command: Program and arguments.
        frame: Pattern that matches the line of a frame, and no other.
        frames: Number of frames after which the process is killed.
        folder: Working directory; None for that of this process.
        environment: Environment variables; None for those of this process.
        limit_s: Seconds after which the process is killed in any case.

    Returns:
        Speed and memory of the process.

    Raises:
        UnavailableError: The process ended before its second frame, if more than one was asked for.
    """
    tail: deque[str] = deque(maxlen=20)
    frame_times: list[float] = []
    peak_mb = 0.0
    started_at = time.monotonic()
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        limit = threading.Timer(limit_s, process.kill)
        limit.start()
        try:
            for line in process.stdout or ():
                tail.append(line.strip())
                if not frame.match(tail[-1]):
                    continue
                frame_times.append(time.monotonic())
                if len(frame_times) % _MEMORY_EVERY == 1 or len(frame_times) == frames:
                    peak_mb = max(peak_mb, peak_memory_mb(process.pid))
                if len(frame_times) == frames:
                    break
        finally:
            limit.cancel()
            process.kill()
    if len(frame_times) < min(frames, 2):
        last = next((line for line in reversed(tail) if line), "nothing")
        raise UnavailableError(f"bench: `{name}` did not run the model; it said last: {last[:160]}")
    seconds = frame_times[-1] - frame_times[0]
    return ProcessTiming(
        fps=round((len(frame_times) - 1) / seconds, 2) if seconds else 0.0,
        first_detection_s=round(frame_times[0] - started_at, 3),
        peak_memory_mb=peak_mb,
    )
