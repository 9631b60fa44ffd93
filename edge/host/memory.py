"""Memory of this machine and of a process."""

from __future__ import annotations

import re
import resource
import sys
from pathlib import Path

import psutil

__all__ = ["available_memory", "peak_memory_mb"]

# Limit and use of the control group that a container runs in, and the part of the use in memory.stat beside
# them that is file cache and can be taken; version 2 and 1.
_GROUPS = (
    (Path("/sys/fs/cgroup"), "memory.max", "memory.current", "inactive_file"),
    (
        Path("/sys/fs/cgroup/memory"),
        "memory.limit_in_bytes",
        "memory.usage_in_bytes",
        "total_inactive_file",
    ),
)


def available_memory() -> int:
    """Measure the memory that this process can still take without swapping, in bytes.

    In a container it is what its limit leaves.
    """
    available = int(psutil.virtual_memory().available)
    for folder, limit, use, cache in _GROUPS:
        try:
            left = int((folder / limit).read_text()) - int((folder / use).read_text())
            available = min(available, max(left + _statistic(folder / "memory.stat", cache), 0))
        except (OSError, ValueError):  # no such version, or no limit ("max")
            continue
    return available


def _statistic(path: Path, name: str) -> int:
    match = re.search(rf"^{name} (\d+)$", path.read_text(), re.M) if path.is_file() else None
    return int(match[1]) if match else 0


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
