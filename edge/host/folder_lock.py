"""Lock of a folder against a second process; it ends with the process that holds it."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgeloop.models.errors import DataError

__all__ = ["locked_folder"]

_POLL_S = 0.02


@contextmanager
def locked_folder(folder: Path, refusal: str, *, wait_s: float = 0.0) -> Iterator[None]:
    """Hold the lock of a folder.

    Args:
        folder: The folder; nothing is written to it.
        refusal: Message of the error if another process, or another part of this one, holds the lock.
        wait_s: Time in seconds to wait for the lock.

    Raises:
        OSError: There is no such folder.
        DataError: The lock is held.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        ends_at = time.monotonic() + wait_s
        while not _try_lock(descriptor):
            if time.monotonic() >= ends_at:
                raise DataError(refusal)
            time.sleep(_POLL_S)
        yield
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
