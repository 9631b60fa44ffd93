"""Free disk space, and folders that keep to a budget of it."""

from __future__ import annotations

import re
import shutil
from collections import deque
from contextlib import suppress
from pathlib import Path

__all__ = ["BudgetedFolder", "free_mb"]

MB = 1_000_000


def free_mb(path: Path) -> float:
    """Measure the free space in MB (10^6 bytes) on the disk of a path, which need not exist yet.

    Raises:
        OSError: The disk does not answer.
    """
    there = path.absolute()
    while not there.exists() and there != there.parent:
        there = there.parent
    return shutil.disk_usage(there).free / MB


class BudgetedFolder:
    """Folder whose oldest files are deleted, so that it keeps to a budget and leaves its disk free space.

    The folder is listed once, oldest name first; from then on files are in the order in which they were
    added, so that a clock that jumps does no harm. For one thread.

    Attributes:
        folder: The folder, created if it is missing.
        budget: Maximum size in bytes.
        deleted: Number of files deleted so far.
    """

    def __init__(self, folder: Path, pattern: re.Pattern[str], *, budget: int, keep_free_mb: float) -> None:
        """List the files of the folder.

        Args:
            folder: The folder.
            pattern: Names of the files that count and may be deleted; any other file is left alone.
            budget: Maximum size in bytes.
            keep_free_mb: Free space in MB that is left on its disk.

        Raises:
            OSError: The folder cannot be created or listed.
        """
        self.folder, self.budget, self._keep_free = folder, budget, keep_free_mb * MB
        self.deleted = 0
        folder.mkdir(parents=True, exist_ok=True)
        files = sorted(
            path
            for path in folder.iterdir()
            if pattern.fullmatch(path.name) and path.is_file() and not path.is_symlink()
        )
        # Names, not paths: there may be tens of thousands.
        self._files = deque((path.name, path.stat().st_size) for path in files)
        self._stored, self._claimed = sum(size for _, size in self._files), 0

    @property
    def used(self) -> int:
        """Size in bytes of its files, with what is claimed."""
        return self._stored + self._claimed

    @property
    def free(self) -> int:
        """Bytes that may be written without deleting a file; negative if some have to be deleted.

        Raises:
            OSError: The disk does not answer.
        """
        on_disk = shutil.disk_usage(self.folder).free - self._keep_free
        return int(min(self.budget - self.used, on_disk))

    def claim(self, size: int) -> bool:
        """Book bytes that are about to be written, and delete the oldest files if there is no room for them.

        Returns:
            True if there is room. False if there is none even without any of its files: none is deleted then.

        Raises:
            OSError: The disk does not answer, or a file cannot be deleted.
        """
        missing = size - self.free
        if missing > 0 and missing > self._stored:
            return False
        while missing > 0:
            name, its_size = self._files[0]
            with suppress(FileNotFoundError):
                (self.folder / name).unlink()
            self._files.popleft()
            self._stored -= its_size
            self.deleted += 1
            missing -= its_size
        self._claimed += size
        return True

    def release(self, size: int) -> None:
        """Give back bytes that were claimed."""
        self._claimed -= size

    def add(self, path: Path) -> None:
        """Count a new file of the folder, the newest now; what was claimed for it has to be released."""
        size = path.stat().st_size
        self._files.append((path.name, size))
        self._stored += size
