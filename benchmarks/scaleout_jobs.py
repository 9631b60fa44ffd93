"""Jobs of scaleout.py, which workers import: one that only waits, and any job watched in its workers."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeloop.labeling.frames.frame_store import FrameStore
from edgeloop.labeling.workers.frame_job import FrameFile, FrameHandler, FrameJob
from edgeloop.models.errors import DataError, UnavailableError

_START_S = 300.0
_LOOK_S = 0.05


@dataclass(frozen=True, slots=True)
class SleepJob:
    """A `FrameJob` without models.

    Attributes:
        store: See `FrameJob.store`.
        seconds: Time that a frame takes.
        batch, gpus, threads: See `FrameJob`.
    """

    store: FrameStore
    seconds: float
    batch: int = 1
    gpus: int = 0
    threads: bool = True

    @property
    def files(self) -> Mapping[str, Path]:
        """See `FrameJob.files`."""
        return {}

    def open(self, files: Mapping[str, Path]) -> SleepHandler:  # noqa: ARG002  FrameJob asks for it
        """See `FrameJob.open`."""
        return SleepHandler(self.seconds)

    def failed(self, item: FrameFile, reason: str) -> int:
        """See `FrameJob.failed`: a benchmark does without no frame."""
        raise DataError(f"{item.file}: {reason}")


@dataclass(frozen=True, slots=True)
class SleepHandler:
    """See `FrameHandler`; a row is the size of the image in bytes."""

    seconds: float

    def __call__(self, frames: Sequence[tuple[FrameFile, bytes]], /) -> list[int]:
        """See `FrameHandler.__call__`."""
        time.sleep(self.seconds * len(frames))
        return [len(data) for _, data in frames]


@dataclass(frozen=True, slots=True)
class WatchedJob:
    """A job whose workers begin together, and note when each frame was done.

    Attributes:
        job: Any `FrameJob`.
        log: Folder of the notes, which all workers can write to.
        workers: Number of workers that wait for each other before the first frame.
    """

    job: FrameJob[Any, Any]
    log: Path
    workers: int

    @property
    def store(self) -> FrameStore:
        """See `FrameJob.store`."""
        return self.job.store

    @property
    def files(self) -> Mapping[str, Path]:
        """See `FrameJob.files`."""
        return self.job.files

    @property
    def batch(self) -> int:
        """See `FrameJob.batch`."""
        return self.job.batch

    @property
    def gpus(self) -> int:
        """See `FrameJob.gpus`."""
        return self.job.gpus

    @property
    def threads(self) -> bool:
        """See `FrameJob.threads`."""
        return self.job.threads

    def open(self, files: Mapping[str, Path]) -> WatchedHandler:
        """See `FrameJob.open`."""
        handler = self.job.open(files)
        name = uuid.uuid4().hex
        (self.log / f"ready-{name}").write_text(repr(time.monotonic()))
        until = time.monotonic() + _START_S
        while len(list(self.log.glob("ready-*"))) < self.workers:
            if time.monotonic() > until:
                raise UnavailableError(f"not all of {self.workers} workers were ready in {_START_S:.0f} s")
            time.sleep(_LOOK_S)
        return WatchedHandler(handler, self.log / f"frames-{name}")

    def failed(self, item: Any, reason: str) -> Any:
        """See `FrameJob.failed`."""
        return self.job.failed(item, reason)


@dataclass(frozen=True, slots=True)
class WatchedHandler:
    """See `FrameHandler`."""

    handler: FrameHandler[Any, Any]
    notes: Path

    def __call__(self, frames: Sequence[tuple[Any, bytes]], /) -> Sequence[Any]:
        """See `FrameHandler.__call__`."""
        rows = self.handler(frames)
        with self.notes.open("a") as file:
            file.writelines(f"{item.file}\n" for item, _ in frames)
        return rows


def began(log: Path, workers: int) -> float:
    """Time at which all workers of a `WatchedJob` were ready, as of time.monotonic, s."""
    return sorted(float(path.read_text()) for path in log.glob("ready-*"))[workers - 1]


def handled(log: Path) -> Counter[str]:
    """Number of times that each frame of a `WatchedJob` was done."""
    return Counter(line for path in log.glob("frames-*") for line in path.read_text().splitlines())
