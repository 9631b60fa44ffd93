"""Keep known lines of a library off the terminal, if it has no switch for them."""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from tempfile import TemporaryFile
from typing import IO

__all__ = ["without_lines"]

_STDERR = 2
_LOCK = threading.Lock()


@contextmanager
def without_lines(known: re.Pattern[str]) -> Iterator[None]:
    """Hold back what this process writes to stderr meanwhile; afterwards write all of it but known lines.

    For the one call that opens a model: other threads' messages are late by the time that it takes.

    Args:
        known: Pattern of the beginning of the lines to leave out.
    """
    with _LOCK, _empty_file() as held:
        try:
            kept = os.dup(_STDERR)
        except OSError:  # stderr is closed
            yield
            return
        _flush()
        os.dup2(held.fileno(), _STDERR)
        try:
            yield
        finally:
            _flush()
            os.dup2(kept, _STDERR)
            os.close(kept)
            held.seek(0)
            rest = [line for line in held if not known.match(line.decode(errors="replace"))]
            with open(_STDERR, "wb", closefd=False) as stderr:
                stderr.writelines(rest)


def _empty_file() -> IO[bytes]:
    """File in memory, if the system has such: a device may have no folder to write to."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("stderr"), "w+b")
    return TemporaryFile()


def _flush() -> None:
    with suppress(AttributeError, OSError, ValueError):  # None without a terminal, or closed
        sys.stderr.flush()
