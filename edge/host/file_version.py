"""Version of a file, by which a reader notices that it was replaced or written."""

from __future__ import annotations

from pathlib import Path

__all__ = ["file_version"]


def file_version(path: Path) -> tuple[int, int, int] | None:
    """Time of the last change in ns, size in bytes, and inode of a file; None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
