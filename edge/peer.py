"""Another detector's own command on the same model and footage, watched from outside.

Ultralytics is run as anybody would run it, by its command, and never imported: it is AGPL-3.0 and no part of
the runtime. It says one line a frame, which is all that is needed to time it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from models.errors import UnavailableError

__all__ = ["PEERS", "Fresh", "find_peer", "run_peer", "watch"]

PEERS = ("ultralytics",)
_FRAME = re.compile(r"^(video|image) \d+/\d+ .*ms$")
_DEVICES = {"cpu": "cpu", "cuda": "0"}
_LIMIT_S = 600.0


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


def find_peer() -> Path:
    """Find Ultralytics' command.

    Returns:
        The command `yolo` of this environment, or else of the path.

    Raises:
        UnavailableError: It is not installed.
    """
    beside = Path(sys.executable).with_name("yolo")
    found = str(beside) if beside.exists() else shutil.which("yolo")
    if found is None:
        raise UnavailableError(
            "bench: --against ultralytics needs its command `yolo`; pip install ultralytics"
        )
    return Path(found)


def run_peer(
    yolo: Path, model: Path, footage: Path, *, frames: int, provider: str, confidence: float
) -> Fresh:
    """Let `yolo predict` run a model.

    Args:
        yolo: The command.
        model: An ONNX file that carries Ultralytics' metadata.
        footage: A video or image.
        frames: Number of frames after which it is ended.
        provider: Short name of the execution provider that ours runs on.
        confidence: Threshold of detections.

    Returns:
        How it went.

    Raises:
        UnavailableError: It does not run the model, or not within ten minutes.
    """
    arguments = [
        f"model={model.resolve()}",
        f"source={footage.resolve()}",
        f"conf={confidence}",
        "save=False",
        *([f"device={_DEVICES[provider]}"] if provider in _DEVICES else []),
    ]
    with TemporaryDirectory(prefix="edgeloop-peer-") as folder:
        return watch([str(yolo), "predict", *arguments], Path(folder), frames=frames)


def watch(command: Sequence[str], folder: Path, *, frames: int, limit_s: float = _LIMIT_S) -> Fresh:
    """Start a command, time the lines that it says of its frames, and end it.

    Args:
        command: What to start.
        folder: Where it works, and keeps its settings.
        frames: Number of frames after which it is ended.
        limit_s: Seconds after which it is ended in any case.

    Returns:
        How it went.

    Raises:
        UnavailableError: It came to its end before its second frame.
    """
    said: deque[str] = deque(maxlen=20)
    came_at: list[float] = []
    peak_mb = 0.0
    started_at = time.monotonic()
    process = subprocess.Popen(
        command, cwd=folder, env=_offline(folder), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    limit = threading.Timer(limit_s, process.kill)
    limit.start()
    try:
        for line in process.stdout or ():
            said.append(line.strip())
            if not _FRAME.match(said[-1]):
                continue
            came_at.append(time.monotonic())
            peak_mb = max(peak_mb, _memory_mb(process.pid))
            if len(came_at) == frames:
                break
    finally:
        limit.cancel()
        process.kill()
        process.wait()
    if len(came_at) < 2:
        last = next((line for line in reversed(said) if line), "nothing")
        raise UnavailableError(f"bench: `yolo predict` did not run the model; it said last: {last[:160]}")
    return Fresh(
        fps=round((len(came_at) - 1) / (came_at[-1] - came_at[0]), 2),
        first_detection_s=round(came_at[0] - started_at, 3),
        peak_memory_mb=peak_mb,
    )


def _memory_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status")
    if status.exists():
        match = re.search(r"VmHWM:\s+(\d+)", status.read_text())
        return round(int(match[1]) * 1024 / 1e6, 1) if match else 0.0
    return round(psutil.Process(pid).memory_info().rss / 1e6, 1)


def _offline(folder: Path) -> dict[str, str]:
    """An environment in which Ultralytics reports, fetches and installs nothing, with settings of its own."""
    return {
        **os.environ,
        "YOLO_OFFLINE": "true",
        "YOLO_AUTOINSTALL": "false",
        "YOLO_VERBOSE": "true",
        "YOLO_CONFIG_DIR": str(folder),
        "PYTHONUNBUFFERED": "1",
    }
