"""Files that are on disk, whole, when a write returns; a process that is killed leaves no half of one."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from edgeloop.models.errors import UnavailableError, file_remedy

__all__ = ["append_to_file", "make_folder", "replace_file", "sync_folder"]


def replace_file(path: Path, content: bytes) -> None:
    """Create or replace a file in one step: readers get the earlier content or this one.

    Raises:
        UnavailableError: It cannot be written.
    """
    partial = path.with_name(path.name + ".part")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)  # it may be what fills the disk
        raise _unwritable(path, error) from error


def make_folder(path: Path) -> None:
    """Create a folder and those above it, if they are missing.

    Raises:
        UnavailableError: It cannot be created.
    """
    try:
        missing = [folder for folder in (path, *path.parents) if not folder.is_dir()]
        for folder in reversed(missing):
            folder.mkdir(exist_ok=True)
            sync_folder(folder.parent)
    except OSError as error:
        raise _unwritable(path, error) from error


def append_to_file(path: Path, content: bytes) -> None:
    """Append whole lines to a file, or create it; if that fails, none of them stays.

    Raises:
        UnavailableError: It cannot be written.
    """
    try:
        # Unbuffered: what a buffer could not write, it writes when it is closed, after the file was cut.
        with path.open("ab", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            try:
                left = memoryview(content)
                while left:
                    left = left[file.write(left) :]
                os.fsync(file.fileno())
            except OSError:
                file.truncate(size)  # half a line would spoil the next one
                raise
    except OSError as error:
        raise _unwritable(path, error) from error


def sync_folder(folder: Path) -> None:
    """Write the names in a folder to disk: a rename outlives a power cut only then."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unwritable(path: Path, error: OSError) -> UnavailableError:
    remedy = file_remedy(error)
    return UnavailableError(f"{path}: cannot be written ({error.strerror}){remedy and '; '}{remedy}")
