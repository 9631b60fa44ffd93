"""Job without models: a frame tells by its content what happens to it."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from edgeloop.edge.frames.folder import FrameEntry
from edgeloop.edge.host.hardware import usable_cores
from edgeloop.labeling.workers.frame_job import FrameJob
from edgeloop.labeling.workers.open_pool import run_job
from edgeloop.labeling.workers.workers import Workers
from edgeloop.models.errors import DataError


@dataclass(frozen=True)
class NamedItem:
    """A frame by its name."""

    file: str


@dataclass(frozen=True)
class MemoryStore:
    """Frames in memory; one that is not there cannot be read."""

    frames: Mapping[str, bytes]

    def __str__(self) -> str:
        return "frames in memory"

    def entries(self) -> tuple[FrameEntry, ...]:
        return ()

    def read(self, file: str) -> bytes:
        if file not in self.frames:
            raise FileNotFoundError(2, "No such file or directory", file)
        return self.frames[file]

    def stamp(self, file: str) -> str:
        return file


@dataclass(frozen=True)
class StandInJob:
    """Rows are file, content and process id, or file and reason.

    Attributes:
        refused: Raised when the job is opened.
        note: Folder in which each process notes its id.
    """

    store: MemoryStore
    batch: int = 1
    gpus: int = 0
    threads: bool = True
    refused: Exception | None = None
    note: Path | None = None
    files: Mapping[str, Path] = field(default_factory=dict)

    def open(self, files: Mapping[str, Path]) -> StandInHandler:
        assert dict(files) == dict(self.files)
        if self.refused is not None:
            raise self.refused
        if self.note is not None:
            (self.note / str(os.getpid())).touch()
        return StandInHandler()

    def failed(self, item: NamedItem, reason: str) -> tuple[str, str]:
        return item.file, f"failed: {reason}"


MEETING = threading.Barrier(2, timeout=60)  # of two frames that are in work at the same time


class StandInHandler:
    """Does what the content of a frame says."""

    def __call__(self, frames: Sequence[tuple[NamedItem, bytes]], /) -> list[tuple[str, str]]:
        return [(item.file, self._handle(data.decode())) for item, data in frames]

    def _handle(self, told: str) -> str:
        match told:
            case "bad":
                raise ValueError("a bad frame\nwith a second line")
            case "refused":
                raise DataError("a refused frame")
            case "exit":
                os._exit(3)
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "hang":
                time.sleep(600)
            case "meet":
                return str(MEETING.wait())
            case "interrupt":
                signal.raise_signal(signal.SIGINT)
            case "pid":
                return str(os.getpid())
            case "cores":
                import cv2
                import torch
                from threadpoolctl import threadpool_info  # type: ignore[import-untyped]

                blas = {each["num_threads"] for each in threadpool_info()}
                return json.dumps([usable_cores(), cv2.getNumThreads(), torch.get_num_threads(), *blas])
        return told


def items_of(store: MemoryStore) -> list[NamedItem]:
    return [NamedItem(file) for file in store.frames]


def rows_of(
    job: FrameJob[NamedItem, tuple[str, str]],
    items: Sequence[NamedItem],
    workers: int | None,
    tell: Callable[[str], None] = lambda _: None,
) -> list[str]:
    """Content of the row of each item; each has exactly one, under its own name."""
    rows: dict[int, tuple[str, str]] = {}
    for place, row in run_job(job, items, Workers(workers), tell):
        assert place not in rows
        rows[place] = row
    assert [rows[place][0] for place in sorted(rows)] == [item.file for item in items]
    return [rows[place][1] for place in sorted(rows)]


def hang(note: Path) -> None:
    """Give three workers frames that take ten minutes each."""
    store = MemoryStore({str(number): b"hang" for number in range(8)})
    rows_of(StandInJob(store, note=note), items_of(store), 3)


def fail_to_unpickle(file: str) -> NoReturn:
    raise LookupError(f"{file}: of another machine's class")
