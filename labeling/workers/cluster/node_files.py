"""Files of a job on a machine of a cluster: written once, shared by its workers, and then removed."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from io import TextIOWrapper
from pathlib import Path

from edgeloop.models.errors import UnavailableError

__all__ = ["KeptFiles", "files_key", "remove_files"]

_POLL_S = 0.05


def files_key(digests: Mapping[str, str]) -> str:
    """Name of the folder that holds files with these sha256 digests, by relative path."""
    return hashlib.sha256(json.dumps(sorted(digests.items())).encode()).hexdigest()[:16]


class KeptFiles:
    """Files that stay as long as this object, or another for the same files in any process, is not closed.

    Attributes:
        paths: Path of each file, by its relative path.
    """

    def __init__(self, digests: Mapping[str, str], fetch: Callable[[str], memoryview]) -> None:
        """Write the files, unless another process has written them or is about to.

        Args:
            digests: sha256 of each file, by its relative path.
            fetch: Called with the relative path of a file that is missing; its content.

        Raises:
            OSError: A file cannot be written.
            UnavailableError: The folder for them belongs to another user.
        """
        root, key = _root(), files_key(digests)
        self.paths = {name: root / key / name for name in digests}
        self._lock = _keep(root / f"{key}.lock")
        (root / key).mkdir(exist_ok=True)
        with (root / key / ".writing").open("a") as writing:
            fcntl.flock(writing, fcntl.LOCK_EX)
            for name, path in self.paths.items():
                if not path.is_file():
                    _write(path, fetch(name))
        remove_files(root=root)  # of jobs that were killed

    def close(self) -> None:
        """Let the files go; `remove_files` removes them."""
        self._lock.close()


def remove_files(key: str = "", *, wait_s: float = 0, root: Path | None = None) -> None:
    """Remove the files that no process keeps.

    Args:
        key: Folder that is about to be let go, as of `files_key`.
        wait_s: Time for which to wait for that, seconds.
        root: Folder of the folders; None for that of this user.
    """
    root = root or _root()
    deadline = time.monotonic() + wait_s
    while True:
        for path in root.glob("*.lock"):
            _remove_unused(path)
        if not (root / f"{key}.lock").exists() or time.monotonic() > deadline:
            return
        time.sleep(_POLL_S)


def _root() -> Path:
    root = Path(tempfile.gettempdir()) / f"edgeloop-{os.getuid()}"
    root.mkdir(mode=0o700, exist_ok=True)
    if root.stat().st_uid != os.getuid():
        raise UnavailableError(f"{root}: belongs to another user; remove it, or set TMPDIR")
    return root


def _keep(path: Path) -> TextIOWrapper:
    """Take a shared lock, which `remove_files` respects."""
    while True:
        lock = path.open("a")
        fcntl.flock(lock, fcntl.LOCK_SH)
        if _is_linked(lock):
            return lock
        lock.close()  # removed meanwhile, with the files


def _write(path: Path, content: memoryview) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    part.write_bytes(content)
    part.replace(path)


def _remove_unused(lock_path: Path) -> None:
    try:
        with lock_path.open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_linked(lock):
                shutil.rmtree(lock_path.with_suffix(""), ignore_errors=True)
                lock_path.unlink()
    except (BlockingIOError, FileNotFoundError):  # in use, or removed by another
        return


def _is_linked(lock: TextIOWrapper) -> bool:
    """True if the file still has its name."""
    return os.fstat(lock.fileno()).st_nlink > 0
