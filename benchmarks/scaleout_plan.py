"""Planning of a hundred thousand frames, and what the head does for each, measured in a process of its own.

It imports no models: their memory is that of the workers.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edgeloop.edge.host.memory import peak_memory_mb
from edgeloop.labeling.frames.frame_look import FrameLook
from edgeloop.labeling.frames.frame_store import FolderStore
from edgeloop.labeling.frames.recordings import group_frames
from edgeloop.labeling.ledger import FrameResult, Label, LabeledRow, Ledger
from edgeloop.labeling.unlabeled import unlabeled_frames
from edgeloop.labeling.workers.dispatch import Finished, Ready, map_frames
from edgeloop.labeling.workers.frame_job import FrameFile, Outcome, Shard
from scaleout_jobs import SleepJob

_WORKERS = 16
_LABELS = 8  # of a frame, as on the conveyor


@dataclass(frozen=True)
class PlanFigures:
    """Figures of `measure_plan`.

    Attributes:
        frames: Number of frames; half of them are in the ledger.
        list_s: Duration of listing them, s.
        ledger_s: Duration of the look-ups in ledger and folder, s.
        shards_s: Duration of giving out those that are left to workers that need no time, s.
        peak_mb: Peak memory of the process up to here, MB (10^6 bytes).
        commits_per_s: Frames per second that the ledger saves.
        group_s: Duration of telling recordings apart, s.
        look_kb: Memory that a frame needs meanwhile, KB.
    """

    frames: int
    list_s: float
    ledger_s: float
    shards_s: float
    peak_mb: float
    commits_per_s: float
    group_s: float
    look_kb: float

    @property
    def seconds(self) -> float:
        """Duration of planning."""
        return self.list_s + self.ledger_s + self.shards_s


class IdlePool:
    """A `WorkerPool` whose workers need no time."""

    shard_frames, shards_ahead = 8, 2

    def __init__(self) -> None:
        self._events: list[Ready | Finished[int]] = []
        self._started = 0

    def start_worker(self) -> None:
        """See `WorkerPool.start_worker`."""
        self._events.append(Ready(self._started))
        self._started += 1

    def submit(self, worker: int, shard: Shard[Any]) -> None:
        """See `WorkerPool.submit`."""
        self._events.append(Finished(worker, [Outcome(0, None) for _ in shard.items]))

    def wait(self) -> Sequence[Ready | Finished[int]]:
        """See `WorkerPool.wait`."""
        events, self._events = self._events, []
        return events

    def close(self) -> None:
        """See `WorkerPool.close`."""


def write_frames(folder: Path, count: int) -> None:
    """Write a folder of frames: one picture under many names, and frames.jsonl."""
    (folder / "frames").mkdir(parents=True)
    picture = folder / "picture.jpg"
    cv2.imwrite(str(picture), np.zeros((48, 64, 3), np.uint8))
    links = 0
    with (folder / "frames" / "frames.jsonl").open("w") as lines:
        for index in range(count):
            if links >= 30_000:  # file systems limit the names of a file
                picture, links = folder / f"picture-{index}.jpg", 0
                cv2.imwrite(str(picture), np.zeros((48, 64, 3), np.uint8))
            name = f"camera-{index:07}.jpg"
            os.link(picture, folder / "frames" / name)
            links += 1
            lines.write(f'{{"file":"{name}","source":"camera","index":{index},"time_s":{index / 30:.3f}}}\n')


def fill_ledger(folder: Path) -> float:
    """Save every second frame in a ledger; frames per second."""
    store = FolderStore(folder / "frames")
    entries = store.entries()[::2]
    look = _look(0)
    labels = tuple(
        Label(xyxy=(1.0, 2.0, 30.5, 40.5), class_id=0, score=0.9, counts="a" * 60, prompt="detector",
              sam_score=0.9)
        for _ in range(_LABELS)
    )  # fmt: skip
    rows = [LabeledRow(FrameResult(file=entry.name, width=640, height=480, labels=labels), "0" * 64, look)
            for entry in entries]  # fmt: skip
    stamps = [store.stamp(entry.file) for entry in entries]
    with Ledger(folder / "ledger.sqlite3", {"job": "scaleout"}) as ledger:
        start = time.monotonic()
        for row, stamp in zip(rows, stamps, strict=True):
            ledger.add(row, stamp)
        return len(rows) / (time.monotonic() - start)


def measure_plan(folder: Path, commits_per_s: float) -> PlanFigures:
    """Plan the frames of `write_frames` with the ledger of `fill_ledger`; run it in a new process."""
    start = time.monotonic()
    store = FolderStore(folder / "frames")
    entries = store.entries()
    listed = time.monotonic()
    with Ledger(folder / "ledger.sqlite3", {"job": "scaleout"}) as ledger:
        left = unlabeled_frames(entries, store, ledger)
    looked_up = time.monotonic()
    if len(left) != len(entries) // 2:
        raise RuntimeError(f"{len(left)} of {len(entries)} frames are left, expected half of them")
    items = [FrameFile(entry.file) for entry, _ in left]
    given = sum(1 for _ in map_frames(SleepJob(store, 0.0), items, IdlePool(), _WORKERS))
    if given != len(left):
        raise RuntimeError(f"{given} of {len(left)} frames were given out")
    planned = time.monotonic()
    peak_mb = peak_memory_mb()
    looks = [_look(seed) for seed in range(100)]
    group_frames(entries, (FrameLook.from_bytes(looks[n % 100]) for n in range(len(entries))))
    grouped = time.monotonic()
    return PlanFigures(
        frames=len(entries),
        list_s=listed - start,
        ledger_s=looked_up - listed,
        shards_s=planned - looked_up,
        peak_mb=peak_mb,
        commits_per_s=commits_per_s,
        group_s=grouped - planned,
        look_kb=max(peak_memory_mb() - peak_mb, 0.0) * 1e3 / len(entries),
    )


def _look(seed: int) -> bytes:
    image = np.random.default_rng(seed).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    return FrameLook.of(image).to_bytes()
