"""TensorRT's engines, kept between runs: a build takes minutes, and its result fits one GPU and one version.

TensorRT's provider loads whatever engine its folder holds, so each combination that an engine depends on has
a folder of its own, and no other is looked into:
https://onnxruntime.ai/docs/execution-providers/TensorRT-ExecutionProvider.html#trt-ep-caches
"""

from __future__ import annotations

import ctypes
import hashlib
import mmap
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import astuple, dataclass
from pathlib import Path

import onnxruntime as ort

from edgeloop.edge.engines.accelerators.build_notice import build_notice
from edgeloop.edge.host.folder_lock import locked_folder
from edgeloop.models.errors import DataError, UnavailableError
from edgeloop.models.weights.cache import cache_folder

__all__ = ["EngineKey", "engine_folder", "gpu_and_driver", "tensorrt_version"]

_MAX_BYTES = 4 << 30
_WAIT_S = 1800.0  # for another process that builds the same engine
_READY = "ready"
_PROVIDER = "libonnxruntime_providers_tensorrt.so"


@dataclass(frozen=True)
class EngineKey:
    """Facts that an engine depends on.

    Attributes:
        model: sha256 of the ONNX file.
        gpu: Names of the GPUs, and which of them this process sees.
        driver: Version of NVIDIA's driver.
        tensorrt: Version of TensorRT.
        onnxruntime: Version of onnxruntime.
        half: True if TensorRT may compute in half precision.
    """

    model: str
    gpu: str
    driver: str
    tensorrt: str
    onnxruntime: str
    half: bool

    @property
    def folder_name(self) -> str:
        """Name of the folder of this engine."""
        return hashlib.sha256(repr(astuple(self)).encode()).hexdigest()

    @classmethod
    def of(cls, model: bytes, *, half: bool) -> EngineKey | None:
        """Key of a model on this machine; None if something that it depends on is unknown here."""
        machine, tensorrt = gpu_and_driver(), tensorrt_version()
        if machine is None or tensorrt is None:
            return None
        return cls(hashlib.sha256(model).hexdigest(), *machine, tensorrt, ort.__version__, half)


@contextmanager
def engine_folder(
    key: EngineKey | None, name: str, *, root: Path | None = None, max_bytes: int = _MAX_BYTES
) -> Iterator[Path | None]:
    """Folder for the engine of a session that is opened within; it is kept if that succeeds.

    A line on stderr tells of a build. An engine that cannot be loaded is deleted, and the next call builds it
    anew.

    Args:
        key: What the engine depends on; None if that is unknown, and nothing is kept.
        name: Name of the model, for the line.
        root: Folder of all engines; by default in the cache folder of the user.
        max_bytes: Size of all engines, above which those that were not used for the longest time are deleted.

    Yields:
        The folder; None to keep nothing.

    Raises:
        UnavailableError: Another process builds the same engine for half an hour, or the folder cannot be
            written.
    """
    if key is None:
        with build_notice(name, "each time: the version of TensorRT or of the driver is unknown here"):
            yield None
        return
    root = root or cache_folder() / "tensorrt"
    folder = root / key.folder_name
    busy = f"{folder}: another process has been building this engine for {_WAIT_S / 60:.0f} minutes"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = locked_folder(folder, busy, wait_s=_WAIT_S)
        lock.__enter__()
    except DataError as error:
        raise UnavailableError(str(error)) from error
    except OSError as error:
        raise UnavailableError(f"{folder}: cannot be written ({error.strerror})") from error
    try:
        yield from _fill(folder, name)
    finally:
        lock.__exit__(None, None, None)
    _delete_oldest(root, folder, max_bytes)


def _fill(folder: Path, name: str) -> Iterator[Path]:
    ready = folder / _READY
    if not ready.exists():
        _empty(folder)  # of a build that was broken off
    try:
        if ready.exists():
            yield folder
        else:
            with build_notice(name, "minutes, once per model and GPU"):
                yield folder
    except Exception:
        _empty(folder)
        raise
    # Without an engine the session runs on something else, or builds one with its first inference.
    if any(folder.glob("*.engine")):
        ready.touch()


def gpu_and_driver(root: Path = Path("/")) -> tuple[str, str] | None:
    """Names of the GPUs and version of the driver; None if they are unknown.

    Args:
        root: Folder of `proc` and `etc`.
    """
    proc = root / "proc"
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "all")
    try:
        files = sorted((proc / "driver/nvidia/gpus").glob("*/information"))
        names = [found[1].strip() for file in files if (found := re.search(r"Model:(.*)", file.read_text()))]
        if names:
            version = (proc / "driver/nvidia/version").read_text().splitlines()[0]
            return f"{', '.join(names)} ({visible})", version
        # A Jetson's GPU is part of its board, and the driver one of its system.
        board = (proc / "device-tree/model").read_text().strip("\0\n ")
        return f"{board} ({visible})", (root / "etc/nv_tegra_release").read_text().splitlines()[0]
    except (OSError, IndexError):
        return None


def tensorrt_version(provider: Path | None = None) -> str | None:
    """Version of the TensorRT that onnxruntime's provider loads; None if it cannot be loaded.

    Args:
        provider: Library of the provider; by default the one of the installed onnxruntime.
    """
    provider = provider or Path(ort.__file__).parent / "capi" / _PROVIDER
    try:
        with provider.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            needed = re.search(rb"libnvinfer\.so\.\d+", content)
            library = ctypes.CDLL(needed[0].decode()) if needed else None
        return None if library is None else str(library.getInferLibVersion())
    except (OSError, ValueError, AttributeError):  # ValueError: an empty file
        return None


def _delete_oldest(root: Path, kept: Path, max_bytes: int) -> None:
    """Delete the engines that were not used for the longest time, but not those that are being built."""
    folders = sorted((each for each in root.iterdir() if each != kept), key=_used_at, reverse=True)
    total = _size(kept)
    for folder in folders:
        total += _size(folder)
        if total > max_bytes:
            with suppress(DataError, OSError), locked_folder(folder, "busy"):
                shutil.rmtree(folder)


def _used_at(folder: Path) -> float:
    with suppress(OSError):
        return (folder / _READY).stat().st_mtime
    return 0.0


def _size(folder: Path) -> int:
    with suppress(OSError):
        return sum(path.stat().st_size for path in folder.iterdir())
    return 0


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
