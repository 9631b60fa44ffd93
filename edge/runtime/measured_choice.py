"""Engine and CPU threads of a model on this machine, measured once and kept.

Between a camera's frames the inference threads sleep, and waking them takes 1 to 2 ms. A large model earns
that back, a small one does not: yolo26n at 320 px was 10 % faster on one thread than on two, at 640 px 1.5
times as fast on two. This depends on the machine, so the first live run measures it with a camera's pauses.
What was chosen is kept in one file per model, machine and versions of the engines.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from edgeloop.edge.engines.engine_protocol import Engine
from edgeloop.edge.engines.open_engine import ENGINES, ONNX_ENGINES, engine_of
from edgeloop.edge.engines.placement import ThreadCount
from edgeloop.edge.host.hardware import physical_cores, processor_name, usable_cores
from edgeloop.models.weights.cache import cache_folder
from edgeloop.models.weights.digest import file_sha256

__all__ = [
    "EARLIER",
    "Choice",
    "clear_choices",
    "keep_choice",
    "load_chosen",
    "measure_thread_count",
    "read_choice",
    "time_once",
]

EARLIER = "measured in an earlier run"

_PAUSE_S = 0.025  # between two frames at 30 fps with a small model; after a shorter one threads wake sooner
_LONG_S = 0.02  # of a longer inference the waking is a small part, and a camera leaves it no such pauses
_REPEATS = 7
_LIMIT_S = 1.0
_CLEARLY_LESS = 0.95  # fewer threads are preferred if they take at most this share of the time
_PROVIDERS = ("cpu", "openvino")


@dataclass(frozen=True)
class Choice:
    """Engine and threads of a model.

    Attributes:
        provider: "cpu" for onnxruntime or the engine of the file, or "openvino".
        threads: CPU threads of one inference.
        compared: Times of the engines in words; "" if they were not compared.
    """

    provider: str
    threads: ThreadCount
    compared: str = ""


def read_choice(model: Path, use: str) -> Choice | None:
    """Read what was chosen for a model and a use of it on this machine; None if nothing was."""
    kept = _read(model).get(use)
    if not isinstance(kept, dict):
        return None
    provider, threads, compared = kept.get("provider"), kept.get("threads"), kept.get("compared")
    reason = EARLIER if kept.get("counted") else ""
    if provider not in _PROVIDERS or not isinstance(compared, str) or type(threads) is not int:
        return None
    if not 1 <= threads <= physical_cores():
        return None
    return Choice(provider, ThreadCount(threads, reason), f"{compared}, {EARLIER}" if compared else "")


def load_chosen(
    load: Callable[..., Engine], path: Path, provider: str, threads: ThreadCount, use: str, *, fixed: bool
) -> tuple[Engine, ThreadCount, Choice | None]:
    """Open a model as it was chosen for a use of it, if it was.

    Args:
        load: Opens the model with a `provider` and a number of `threads`.
        path: Path of the model.
        provider: Provider that is asked for.
        threads: Number of threads unless another one was chosen.
        use: Use of the model; "" if nothing is chosen for it.
        fixed: Keep this number of threads in any case.

    Returns:
        The engine, its number of threads, and what was chosen; None if nothing was.
    """
    chosen = read_choice(path, use) if use else None
    if chosen is not None:
        provider = "openvino" if chosen.provider == "openvino" else provider
        threads = threads if fixed else chosen.threads
    engine = load(provider=provider, threads=threads.count)
    on_cpu = engine.placement.provider in _PROVIDERS
    return engine, threads if on_cpu else ThreadCount(threads.count), chosen if on_cpu else None


def keep_choice(model: Path, use: str, choice: Choice) -> Choice:
    """Keep what was measured, and say with it when that was; if nothing was measured, nothing is kept."""
    threads, compared = choice.threads, choice.compared
    if not compared and not threads.reason:
        return choice
    now = f", measured now{_write(model, use, choice)}"
    if threads.reason:
        threads = replace(threads, reason=threads.reason + now)
    return Choice(choice.provider, threads, compared + now if compared else "")


def clear_choices(model: Path) -> None:
    """Delete what was chosen for a model, so that the next run measures it."""
    with suppress(OSError, RuntimeError):
        _cache_file(model).unlink()


def measure_thread_count(
    engine: Engine, reopen: Callable[..., Engine], tensor: NDArray[np.generic]
) -> tuple[Engine, ThreadCount]:
    """Halve the number of threads as long as that is clearly faster, for at most a second.

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
    spent_s = time_once(engine, tensor)
    reason = f"an image takes {_ms(spent_s)}, too long for fewer to pay"
    while spent_s < _LONG_S and engine.threads > 1 and time.monotonic() < ends_at:
        fewer = reopen(threads=engine.threads // 2)
        fewer.run(tensor)
        pairs = [(time_once(engine, tensor), time_once(fewer, tensor)) for _ in range(_REPEATS)]
        spent_s, fewer_s = np.median(pairs, axis=0).tolist()
        reason = f"an image takes {_ms(fewer_s)} on {fewer.threads}, {_ms(spent_s)} on {engine.threads}"
        if fewer_s > _CLEARLY_LESS * spent_s:
            fewer.close()
            break
        engine.close()
        engine, spent_s = fewer, fewer_s
    return engine, ThreadCount(engine.threads, reason)


def time_once(engine: Engine, tensor: NDArray[np.generic]) -> float:
    """Measure one inference after a camera's pause, in seconds."""
    time.sleep(_PAUSE_S)
    started = time.monotonic()
    engine.run(tensor)
    return time.monotonic() - started


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"


def _read(model: Path) -> dict[str, object]:
    """Choices by use; empty if there are none, or the file is damaged."""
    try:
        kept = json.loads(_cache_file(model).read_bytes())
    except (OSError, RuntimeError, ValueError):  # RuntimeError: no home folder
        return {}
    return kept if isinstance(kept, dict) else {}


def _write(model: Path, use: str, choice: Choice) -> str:
    """Keep a choice; return words for the reason if that fails, else ""."""
    kept = {
        "provider": choice.provider,
        "threads": choice.threads.count,
        "counted": bool(choice.threads.reason),
        "compared": choice.compared,
    }
    try:
        file = _cache_file(model)
        file.parent.mkdir(parents=True, exist_ok=True)
        # Another run may read it meanwhile, and must not find half of it.
        part = file.with_suffix(f".{os.getpid()}")
        part.write_text(json.dumps(_read(model) | {use: kept}) + "\n")
        part.replace(file)
    except (OSError, RuntimeError) as error:  # RuntimeError: no home folder
        return f" and at the next start, for it cannot be kept ({error})"
    return ""


def _cache_file(model: Path) -> Path:
    """File of the choices, named by everything that they depend on."""
    key = (
        file_sha256(model),
        processor_name(),
        usable_cores(),
        physical_cores(),
        _engine_versions(model),
    )
    return cache_folder() / "choices" / hashlib.sha256(repr(key).encode()).hexdigest()


def _engine_versions(model: Path) -> object:
    """Version of the engine of a file; of an ONNX file those of the engines that are compared."""
    name = engine_of(model)
    if name in ONNX_ENGINES:
        return ort.__version__, ort.get_available_providers(), ENGINES["openvino"].version
    return name, ENGINES[name].version
