"""Memory that a large array leaves is kept for the next one."""

from __future__ import annotations

import ctypes
import sys

__all__ = ["keep_freed_memory"]

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's <malloc.h>
_LARGEST_KEPT_BYTES = 32 << 20  # the most that mallopt(3) promises to take
_MOST_FREE_BYTES = 256 << 20


def keep_freed_memory() -> None:
    """Let glibc's heap keep what large arrays leave; other C libraries stay as they are.

    Maps of ten megabytes come and go with every frame. Left alone glibc gives each back to the system, and
    the system clears its pages again before the next one may use them: a tenth of the time of a frame.
    """
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if libc is not None and hasattr(libc, "mallopt"):
        libc.mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT_BYTES)
        libc.mallopt(_M_TRIM_THRESHOLD, _MOST_FREE_BYTES)
