"""Settings of glibc's malloc."""

from __future__ import annotations

import ctypes
import sys

__all__ = ["keep_freed_memory", "return_freed_memory", "share_heaps"]

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # of glibc's <malloc.h>
_LARGEST_KEPT_BYTES = 32 << 20  # the maximum of mallopt(3)
_MOST_FREE_BYTES = 256 << 20
_HEAPS = 2


def keep_freed_memory() -> None:
    """Tune glibc malloc so that freed frame-sized arrays are reused instead of returned to the OS.

    Arrays of ten megabytes are allocated for every frame. By default the OS takes each back and clears its
    pages again, a tenth of the time of a frame. Other C libraries stay as they are.
    """
    libc = _libc()
    if libc is not None and hasattr(libc, "mallopt"):
        libc.mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT_BYTES)
        libc.mallopt(_M_TRIM_THRESHOLD, _MOST_FREE_BYTES)


def return_freed_memory() -> None:
    """Return freed memory to the OS, which glibc would keep, also that of threads that ended.

    Loading a model frees much of it. Each thread leaves megabytes in an arena of its own, which the next one
    need not use.
    """
    libc = _libc()
    if libc is not None and hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)


def share_heaps() -> None:
    """Let all threads allocate from two heaps, instead of up to eight for each core.

    Each connection of a camera decodes in a thread of its own. By default a new one is likely to get a heap
    that held few images so far, so a service that reconnects for weeks fills all of them. Call it before
    other threads begin. Other C libraries stay as they are.
    """
    libc = _libc()
    if libc is not None and hasattr(libc, "mallopt"):
        libc.mallopt(_M_ARENA_MAX, _HEAPS)


def _libc() -> ctypes.CDLL | None:
    return ctypes.CDLL(None) if sys.platform == "linux" else None
