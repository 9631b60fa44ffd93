"""Number of CPU threads for inference on a live camera, measured once per model and machine.

Between a camera's frames the inference threads sleep, and waking them takes 1 to 2 ms. A large model earns
that back, a small one does not: yolo26n at 320 px was 10 % faster on one thread than on two, at 640 px 1.5
times as fast on two. This depends on the machine, so the first live run measures it with a camera's pauses.
The result is cached in one file per model, machine and onnxruntime version.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from edgeloop.edge.engines.engine_protocol import Engine
from edgeloop.edge.engines.placement import ThreadCount
from edgeloop.edge.host.hardware import physical_cores, processor_name, usable_cores
from edgeloop.models.weights.cache import cache_folder
from edgeloop.models.weights.digest import file_sha256

__all__ = ["clear_thread_count", "measure_thread_count", "read_thread_count"]

_PAUSE_S = 0.025  # between two frames at 30 fps with a small model; after a shorter one threads wake sooner
_LONG_S = 0.02  # of a longer inference the waking is a small part, and a camera leaves it no such pauses
_REPEATS = 7
_LIMIT_S = 1.0
_CLEARLY_LESS = 0.95  # fewer threads are preferred if they take at most this share of the time


def read_thread_count(model: Path) -> ThreadCount | None:
    """Read the cached number of threads for a model on this machine; None if there is none."""
    try:
        count = int(_cache_file(model).read_text())
    except (OSError, RuntimeError, ValueError):  # RuntimeError: no home folder
        return None
    return ThreadCount(count, "measured in an earlier run") if 1 <= count <= physical_cores() else None


def clear_thread_count(model: Path) -> None:
    """Delete the cached number of threads of a model, so that the next live run measures it."""
    with suppress(OSError, RuntimeError):
        _cache_file(model).unlink()


def measure_thread_count(
    engine: Engine, reopen: Callable[..., Engine], tensor: NDArray[np.generic]
) -> tuple[Engine, ThreadCount]:
    """Halve the number of threads as long as that is clearly faster, for at most a second, and cache it.

    No more than two engines are open at a time, and the slower one is closed.

    Args:
        engine: The model, on one thread per core.
        reopen: Opens the model with the number of `threads` that it is given.
        tensor: An input of the model.

    Returns:
        The faster one and its number of threads.

    Raises:
        ModelError: The model does not run on this input.
    """
    ends_at = time.monotonic() + _LIMIT_S
    engine.run(tensor)  # the first inference also allocates its memory
    spent_s = _spent_s(engine, tensor)
    reason = f"an image takes {_ms(spent_s)}, too long for fewer to pay"
    while spent_s < _LONG_S and engine.threads > 1 and time.monotonic() < ends_at:
        fewer = reopen(threads=engine.threads // 2)
        fewer.run(tensor)
        pairs = [(_spent_s(engine, tensor), _spent_s(fewer, tensor)) for _ in range(_REPEATS)]
        spent_s, fewer_s = np.median(pairs, axis=0).tolist()
        reason = f"an image takes {_ms(fewer_s)} on {fewer.threads}, {_ms(spent_s)} on {engine.threads}"
        if fewer_s > _CLEARLY_LESS * spent_s:
            fewer.close()
            break
        engine.close()
        engine, spent_s = fewer, fewer_s
    return engine, ThreadCount(engine.threads, f"{reason}, measured now{_write_cache(engine)}")


def _spent_s(engine: Engine, tensor: NDArray[np.generic]) -> float:
    time.sleep(_PAUSE_S)
    started = time.monotonic()
    engine.run(tensor)
    return time.monotonic() - started


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"


def _write_cache(engine: Engine) -> str:
    """Cache the number of threads; return words for the reason if that fails, else ""."""
    try:
        file = _cache_file(engine.path)
        file.parent.mkdir(parents=True, exist_ok=True)
        # Another run may read it meanwhile, and must not find half of it.
        part = file.with_suffix(f".{os.getpid()}")
        part.write_text(f"{engine.threads}\n")
        part.replace(file)
    except (OSError, RuntimeError) as error:
        return f" and at the next start, for it cannot be kept ({error})"
    return ""


def _cache_file(model: Path) -> Path:
    """File of the cached number, named by everything that the number depends on."""
    key = (file_sha256(model), processor_name(), usable_cores(), physical_cores(), ort.__version__)
    return cache_folder() / "threads" / hashlib.sha256(repr(key).encode()).hexdigest()
