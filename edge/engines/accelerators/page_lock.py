"""Page-locked host memory, which a GPU reads and writes directly instead of by a copy of its driver.

The arrays stay those of numpy: CUDA's runtime locks their pages in place. It is the copy that onnxruntime has
loaded, since a second one would have a context of its own.
https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__MEMORY.html
"""

from __future__ import annotations

import ctypes
import threading
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["CudaRuntime", "PageLock", "loaded_runtime"]

_MAX_ARRAYS = 16
_PORTABLE = 1  # locked for all contexts


class CudaRuntime(Protocol):
    """Functions of CUDA's runtime that lock pages; each returns 0 if it succeeds."""

    def cudaHostRegister(self, pointer: object, size: object, flags: int) -> int:  # noqa: N802
        """Lock the pages of a range."""
        ...

    def cudaHostUnregister(self, pointer: object) -> int:  # noqa: N802
        """Unlock them."""
        ...


class PageLock:
    """Arrays whose pages are locked, up to a number; further ones are left as they are, and are slower."""

    def __init__(self, runtime: CudaRuntime | None) -> None:
        """Start without an array.

        Args:
            runtime: CUDA's runtime; None to lock nothing.
        """
        self._runtime = runtime
        self._arrays: dict[tuple[int, int], NDArray[np.generic]] = {}
        self._tried: set[tuple[int, int]] = set()
        self._lock = threading.Lock()

    @property
    def count(self) -> int:
        """Number of arrays that are locked."""
        return len(self._arrays)

    def add(self, array: NDArray[np.generic]) -> bool:
        """Lock the pages of an array, which is kept alive until `close`.

        Args:
            array: Contiguous array.

        Returns:
            True if they are locked.
        """
        key = (array.ctypes.data, array.nbytes)
        if key in self._arrays:
            return True
        with self._lock:
            if self._runtime is None or key in self._tried or len(self._tried) >= _MAX_ARRAYS:
                return key in self._arrays
            self._tried.add(key)
            pointer, size = ctypes.c_void_p(key[0]), ctypes.c_size_t(key[1])
            if self._runtime.cudaHostRegister(pointer, size, _PORTABLE) != 0:
                return False
            self._arrays[key] = array
        return True

    def close(self) -> None:
        """Unlock all pages and let go of the arrays."""
        with self._lock:
            for address, _ in self._arrays:
                if self._runtime is not None:
                    self._runtime.cudaHostUnregister(ctypes.c_void_p(address))
            self._arrays.clear()
            self._tried.clear()


def loaded_runtime(maps: Path = Path("/proc/self/maps")) -> ctypes.CDLL | None:
    """CUDA's runtime in this process; None if there is none, or if it is linked into another library.

    Args:
        maps: List of the files that are mapped into this process.
    """
    try:
        lines = maps.read_text().splitlines()
    except OSError:
        return None
    paths = (line.split(maxsplit=5)[-1] for line in lines if "libcudart.so" in line)
    found = next(paths, None)
    return None if found is None else ctypes.CDLL(found)
