"""Job without models, which leaves traces and does harm as the names of its frames say."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeloop.labeling.frames.frame_store import FolderStore
from edgeloop.labeling.workers.open_pool import run_job
from edgeloop.labeling.workers.workers import Workers
from tests.waiting import until

FRAMES = 60


@dataclass(frozen=True)
class Item:
    file: str


@dataclass(frozen=True)
class HeadStore(FolderStore):
    """Folder that no other process than the head can read."""

    head: int

    def __reduce__(self) -> tuple[type[HeadStore], tuple[Path, int]]:  # type: ignore[override]
        return HeadStore, (self.folder, self.head)

    def read(self, file: str) -> bytes:
        if os.getpid() != self.head:
            raise PermissionError(13, "Permission denied")
        return super().read(file)


@dataclass(frozen=True)
class ClusterJob:
    """Row: frame, digest of image and model.

    A frame named "raise" fails, "kill" ends its worker. No worker begins before so many are `together`.
    """

    store: FolderStore
    model: Path
    traces: Path
    head: int
    pause_s: float = 0
    together: int = 0
    batch: int = 2
    gpus: int = 0
    threads: bool = False

    @property
    def files(self) -> Mapping[str, Path]:
        return {"folder/model.bin": self.model}

    def open(self, files: Mapping[str, Path]) -> ClusterHandler:
        path = files["folder/model.bin"]
        status = path.stat()
        (self.traces / f"model-{status.st_ino}-{status.st_mtime_ns}").touch()
        (self.traces / f"worker-{os.getpid()}").touch()
        return ClusterHandler(self, hashlib.sha256(path.read_bytes()).hexdigest())

    def failed(self, item: Item, reason: str) -> tuple[str, str, str]:
        return item.file, "failed", reason


@dataclass(frozen=True)
class ClusterHandler:
    job: ClusterJob
    model: str

    def __call__(self, frames: Sequence[tuple[Item, bytes]]) -> list[tuple[str, str, str]]:
        if os.getpid() != self.job.head:
            until(lambda: len(list(self.job.traces.glob("worker-*"))) >= self.job.together, 60)
            time.sleep(self.job.pause_s)
        return [self._handle(item, data) for item, data in frames]

    def _handle(self, item: Item, data: bytes) -> tuple[str, str, str]:
        if "raise" in item.file:
            raise ValueError(f"{item.file} is\nbad")
        if "kill" in item.file and os.getpid() != self.job.head:
            os._exit(3)
        return item.file, hashlib.sha256(data).hexdigest(), self.model


def label_slowly(folder: str, address: str) -> None:
    """Handle what `make_job` has written, at a second a frame."""
    path = Path(folder)
    job = ClusterJob(FolderStore(path / "frames"), path / "model.bin", path / "traces", os.getpid(), 1)
    items = [Item(image.name) for image in (path / "frames").iterdir()]
    for _ in run_job(job, items, Workers(ray=address)):
        pass


def make_job(
    folder: Path, *, odd: Mapping[int, str] | None = None, pause_s: float = 0, together: int = 0
) -> tuple[ClusterJob, list[Item]]:
    """Write frames and a model; `odd` names frames by their number."""
    names = [f"{(odd or {}).get(number, 'frame')}_{number:03d}.jpg" for number in range(FRAMES)]
    (folder / "frames").mkdir()
    for name in names:
        if "missing" not in name:
            (folder / "frames" / name).write_bytes(name.encode() * 100)
    (folder / "traces").mkdir()
    model = folder / "model.bin"
    model.write_bytes(folder.name.encode() * 100_000)
    job = ClusterJob(FolderStore(folder / "frames"), model, folder / "traces", os.getpid(), pause_s, together)
    return job, [Item(name) for name in names]
