"""How many threads an inference is worth beside a camera, measured once for each model and machine.

Between a camera's frames the threads of an inference sleep. Waking them takes a millisecond or two, which
they earn back on a large model and not on a small one: at 320 px yolo26n was 10 % quicker on one thread than
on two, at 640 px 1.5 times as quick on two. Which it is depends on the machine, so it is measured, with a
camera's pauses, at the first run. The answer lies in the user's cache, in a file of its own for each model,
machine and onnxruntime.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from edgeloop.edge.host.hardware import physical_cores, processor_name, usable_cores
from edgeloop.edge.runtime.session import Session
from edgeloop.models.weights.cache import cache_folder
from edgeloop.models.weights.digest import file_sha256

__all__ = ["ThreadCount", "clear_thread_count", "measure_thread_count", "read_thread_count"]

_PAUSE_S = 0.025
"""What 30 frames a second leave a small model. After a shorter pause threads wake sooner."""

_LONG_S = 0.02
"""Of a longer inference, what waking takes is a small part, and a camera leaves it no such pauses."""

_TURNS = 7
_LIMIT_S = 1.0
_CLEARLY = 0.95
"""Part of the time that fewer threads may take at most to be preferred."""


@dataclass(frozen=True)
class ThreadCount:
    """CPU threads of one inference.

    Attributes:
        count: how many.
        reason: what speaks for so many; "" where nothing was measured.
    """

    count: int
    reason: str = ""

    def __str__(self) -> str:
        threads = f"{self.count} CPU thread{'' if self.count == 1 else 's'}"
        return f"{threads}: {self.reason}" if self.reason else threads


def read_thread_count(model: Path) -> ThreadCount | None:
    """Look up what was measured before.

    Args:
        model: an ONNX file.

    Returns:
        The answer for its content on this machine; None where there is none that can be read.
    """
    try:
        count = int(_place(model).read_text())
    except (OSError, RuntimeError, ValueError):  # of a cache nothing is expected, not even a home folder
        return None
    return ThreadCount(count, "measured in an earlier run") if 1 <= count <= physical_cores() else None


def clear_thread_count(model: Path) -> None:
    """Let the next run measure anew.

    Args:
        model: an ONNX file.
    """
    with suppress(OSError, RuntimeError):
        _place(model).unlink()


def measure_thread_count(
    session: Session, reopen: Callable[..., Session], tensor: NDArray[np.generic]
) -> tuple[Session, ThreadCount]:
    """Find whether fewer threads serve a camera clearly better, and keep the answer for later runs.

    Half as many are tried for as long as that pays and a second has not passed. No more than two sessions are
    open at a time, and the one that loses is closed.

    Args:
        session: the model, on a thread for each core.
        reopen: opens it again, on as many `threads` as it is given.
        tensor: an input that it takes.

    Returns:
        The session that serves best, and its threads.

    Raises:
        ModelError: the model does not run on this input.
    """
    ends_at = time.monotonic() + _LIMIT_S
    session.run(tensor)  # the first inference also takes its memory
    spent_s = _spent_s(session, tensor)
    told = f"an image takes {_ms(spent_s)}, too long for fewer to pay"
    while spent_s < _LONG_S and session.threads > 1 and time.monotonic() < ends_at:
        fewer = reopen(threads=session.threads // 2)
        spent_s, fewer_s = _compare(session, fewer, tensor)
        told = f"an image takes {_ms(fewer_s)} on {fewer.threads}, {_ms(spent_s)} on {session.threads}"
        if fewer_s > _CLEARLY * spent_s:
            fewer.close()
            break
        session.close()
        session, spent_s = fewer, fewer_s
    return session, ThreadCount(session.threads, f"{told}, measured now{_keep(session)}")


def _compare(one: Session, other: Session, tensor: NDArray[np.generic]) -> tuple[float, float]:
    """Median times of an inference in seconds, taken in turns."""
    other.run(tensor)
    turns = [(_spent_s(one, tensor), _spent_s(other, tensor)) for _ in range(_TURNS)]
    ones, others = np.median(turns, axis=0).tolist()
    return ones, others


def _spent_s(session: Session, tensor: NDArray[np.generic]) -> float:
    time.sleep(_PAUSE_S)
    began_at = time.monotonic()
    session.run(tensor)
    return time.monotonic() - began_at


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"


def _keep(session: Session) -> str:
    """Write the answer down; where that fails, say that it will be asked again."""
    try:
        place = _place(session.path)
        place.parent.mkdir(parents=True, exist_ok=True)
        # Another run may read it meanwhile, and must not find half of it.
        part = place.with_suffix(f".{os.getpid()}")
        part.write_text(f"{session.threads}\n")
        part.replace(place)
    except (OSError, RuntimeError) as error:
        return f" and at the next start, for it cannot be kept ({error})"
    return ""


def _place(model: Path) -> Path:
    """The file that holds the answer; its name stands for all that the answer depends on."""
    facts = (file_sha256(model), processor_name(), usable_cores(), physical_cores(), ort.__version__)
    return cache_folder() / "threads" / hashlib.sha256(repr(facts).encode()).hexdigest()
