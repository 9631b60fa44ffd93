"""A command in a new process, as a user would start it, watched from outside."""

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

__all__ = ["Fresh", "watch"]

_LIMIT_S = 600.0
_LOOKED_AT = 10
"""Memory is looked at every so many frames: the system keeps its peak, and looking takes time."""


@dataclass(frozen=True)
class Fresh:
    """One run in a new process.

    Attributes:
        fps: Frames a second from the first result to the last.
        first_detection_s: From the start of the process to its first result.
        peak_memory_mb: Largest resident memory of the process, in MB (10^6 bytes).
    """

    fps: float
    first_detection_s: float
    peak_memory_mb: float


def watch(
    name: str,
    command: Sequence[str],
    *,
    frame: re.Pattern[str],
    frames: int,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    limit_s: float = _LIMIT_S,
) -> Fresh:
    """Start a command, time the lines that it says of its frames, and end it.

    Args:
        name: What to call it.
        command: What to start.
        frame: Matches such a line, and no other.
        frames: Number of frames after which it is ended.
        folder: Where it works; None for where this process does.
        environment: Of the command; None for that of this process.
        limit_s: Seconds after which it is ended in any case.

    Returns:
        How it went.

    Raises:
        UnavailableError: It came to its end before its second frame, where more than one was asked for.
    """
    said: deque[str] = deque(maxlen=20)
    came_at: list[float] = []
    peak_mb = 0.0
    started_at = time.monotonic()
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    limit = threading.Timer(limit_s, process.kill)
    limit.start()
    try:
        for line in process.stdout or ():
            said.append(line.strip())
            if not frame.match(said[-1]):
                continue
            came_at.append(time.monotonic())
            if len(came_at) % _LOOKED_AT == 1 or len(came_at) == frames:
                peak_mb = max(peak_mb, peak_memory_mb(process.pid))
            if len(came_at) == frames:
                break
    finally:
        limit.cancel()
        process.kill()
        process.wait()
    if len(came_at) < min(frames, 2):
        last = next((line for line in reversed(said) if line), "nothing")
        raise UnavailableError(f"bench: `{name}` did not run the model; it said last: {last[:160]}")
    seconds = came_at[-1] - came_at[0]
    return Fresh(
        fps=round((len(came_at) - 1) / seconds, 2) if seconds else 0.0,
        first_detection_s=round(came_at[0] - started_at, 3),
        peak_memory_mb=peak_mb,
    )
