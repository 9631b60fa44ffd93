"""Files of the jobs on disk: what is unfinished, who works on it, and what is put aside."""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import ValidationError

from edgeloop.edge.host.file_version import file_version
from edgeloop.labeling.ledger import FrameResult

__all__ = [
    "LedgerCopy",
    "label_is_locked",
    "put_aside",
    "teach_is_locked",
    "train_is_locked",
    "unfinished_label",
    "unfinished_train",
]

_LEDGER = "ledger.sqlite3"
_LONG_S, _REST = 0.5, 20  # duration of a reading from which on the next one waits; so many times as long


def unfinished_label(dataset: Path) -> Path:
    """Folder of a labeling job that was paused, see `label_frames`."""
    return dataset.with_name(dataset.name + ".unfinished")


def unfinished_train(run: Path) -> Path:
    """Folder of a training that was paused, see `unfinished_run`."""
    return run.with_name(f".{run.name}.unfinished")


def label_is_locked(dataset: Path) -> bool:
    """True if a process labels this dataset now: SQLite holds a lock on its ledger."""
    return _is_locked(unfinished_label(dataset) / _LEDGER, fcntl.lockf)


def teach_is_locked(loop: Path) -> bool:
    """True if a process teaches on this loop now: it holds a lock on its folder."""
    return _is_locked(loop, fcntl.flock)


def train_is_locked(run: Path) -> bool:
    """True if a process trains this run now."""
    return _is_locked(unfinished_train(run), fcntl.flock)


def _is_locked(path: Path, lock: Callable[[int, int], object]) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        lock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def put_aside(path: Path) -> Path | None:
    """Rename a file or folder to PATH.1 or the next number that is free; None if there is none."""
    if not path.exists():
        return None
    number = 1
    while (aside := path.with_name(f"{path.name}.{number}")).exists():
        number += 1
    path.rename(aside)
    return aside


class LedgerCopy:
    """Reads the ledger of a job while the process that labels holds its lock.

    The ledger and its write-ahead log are copied, and the copy is read: frames that are written meanwhile may
    be missing in it. If the copy is torn, the one before it counts. One that takes long is made seldom.
    """

    def __init__(self, dataset: Path) -> None:
        """Read the ledger of the job that makes a dataset."""
        self._ledger = unfinished_label(dataset) / _LEDGER
        self._versions: object = None
        self._due = 0.0  # time of the next reading
        self._results: dict[str, FrameResult] = {}
        self._marks: dict[str, str] = {}

    def results(self) -> dict[str, FrameResult]:
        """Frames that are labeled so far, by name, in the order in which they were."""
        versions = [file_version(path) for path in self._files()]
        began = time.monotonic()
        if versions != self._versions and began >= self._due:
            with suppress(OSError, sqlite3.Error, ValidationError):
                self._results = self._read()
                self._versions = versions
            spent = time.monotonic() - began
            self._due = began + (_REST * spent if spent > _LONG_S else 0)
        return self._results

    def _files(self) -> tuple[Path, Path]:
        return self._ledger, self._ledger.with_name(_LEDGER + "-wal")

    def _read(self) -> dict[str, FrameResult]:
        if not self._ledger.is_file():
            return {}
        with TemporaryDirectory(prefix="edgeloop-") as folder:
            for path in self._files():
                if path.is_file():
                    shutil.copyfile(path, Path(folder) / path.name)
            with closing(sqlite3.connect(Path(folder) / _LEDGER)) as db:
                rows = db.execute("SELECT file, stamp || digest, result FROM frame").fetchall()
        marks = {file: mark for file, mark, _ in rows}
        results = {file: old for file, old in self._results.items() if marks.get(file) == self._marks[file]}
        for file, _, text in rows:
            if file not in results:
                results[file] = FrameResult.model_validate_json(text)
        self._marks = marks
        return results
