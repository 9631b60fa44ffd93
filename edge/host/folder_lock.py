"""Lock of a folder against a second process; it ends with the process that holds it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgeloop.models.errors import DataError

__all__ = ["locked_folder"]


@contextmanager
def locked_folder(folder: Path, refusal: str) -> Iterator[None]:
    """Hold the lock of a folder.

    Args:
        folder: The folder; nothing is written to it.
        refusal: Message of the error if another process, or another part of this one, holds the lock.

    Raises:
        OSError: There is no such folder.
        DataError: The lock is held.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DataError(refusal) from error
        yield
    finally:
        os.close(descriptor)
