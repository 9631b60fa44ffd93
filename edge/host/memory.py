"""Peak memory of a process."""

from __future__ import annotations

import re
import resource
import sys
from pathlib import Path

import psutil

__all__ = ["peak_memory_mb"]


def peak_memory_mb(pid: int | None = None) -> float:
    """Measure the peak resident memory of a process.

    Args:
        pid: Process id; None for this process.

    Returns:
        MB (10^6 bytes), 0 if the process has ended. Other systems than Linux give the current memory of
        another process.
    """
    # On Linux ru_maxrss is inherited from the parent over fork and exec; VmHWM is the program's own.
    status = Path(f"/proc/{'self' if pid is None else pid}/status")
    if status.exists():
        match = re.search(r"VmHWM:\s+(\d+)", status.read_text())
        return round(int(match[1]) * 1024 / 1e6, 1) if match else 0.0
    if pid is not None:
        return round(psutil.Process(pid).memory_info().rss / 1e6, 1)
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6, 1)
