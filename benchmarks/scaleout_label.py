"""Labeling as scaleout.py measures it: what was learned is learned once. It loads torch."""

from __future__ import annotations

import hashlib
import json
import pickle
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

from edgeloop.edge.cli.progress import progress_bar
from edgeloop.edge.demo.call_verb import call_verb
from edgeloop.edge.demo.scene_truth import write_exemplars
from edgeloop.edge.synth import open_scene
from edgeloop.labeling import job as labeling
from edgeloop.labeling.build import LabelingModels, learn_models
from edgeloop.labeling.dataset.write import write_dataset
from edgeloop.labeling.frames.frame_store import FolderStore
from edgeloop.labeling.inputs.load import LabelInputs
from edgeloop.labeling.inputs.plan import LabelPlan
from edgeloop.labeling.label_job import LabelItem, LabelJob
from edgeloop.labeling.ledger import Ledger
from edgeloop.labeling.step_progress import Progress
from edgeloop.labeling.workers.open_pool import run_job
from edgeloop.labeling.workers.workers import Workers
from scaleout_jobs import WatchedJob, began

SEED, SIZE, STEP = 7, (640, 480), 20  # those of `edgeloop demo`
_DRAWN = 5
_MODELS = "models.pickle"


@dataclass(frozen=True)
class LabelRun:
    """Dataset of a run.

    Attributes:
        digest: sha256 of its files and their names.
        written_per_s: Frames per second of writing it, once all are labeled.
    """

    digest: str
    written_per_s: float


@dataclass(frozen=True)
class RateRun:
    """Rate of a run.

    Attributes:
        frames_s: Frames per second that reach the ledger, from when all workers are ready.
        digest: sha256 of all rows in the order of the frames.
        image_kb: Mean size of an image, KB (10^3 bytes).
        row_kb: Mean size of what is known of a frame then, KB.
    """

    frames_s: float
    digest: str
    image_kb: float
    row_kb: float


def prepare(out: Path, frames: int) -> None:
    """Draw the frames and the exemplars of the conveyor, and learn from them, unless OUT has it all."""
    if (out / _MODELS).is_file():
        return
    width, height = SIZE
    source = f"synth:conveyor?seed={SEED}&size={width}x{height}&step={STEP}&frames={frames}"
    call_verb("collect", source, "-o", out / "frames", "--keep-all")
    scene = open_scene("conveyor", seed=SEED, size=SIZE)
    write_exemplars(scene, out / "frames", out / "exemplars.json", count=_DRAWN)
    with patch.object(labeling, "learn_models", partial(_keep, out)), suppress(_LearnedError):
        labeling.label_frames(_plan(out, out / "dataset", Workers()), progress=progress_bar)


class _LearnedError(Exception):
    """Nothing is to be labeled now."""


def _keep(
    out: Path, plan: LabelPlan, inputs: LabelInputs, frames: Sequence[Path], _: Path, progress: Progress
) -> None:
    """Learn as a job does, but for good."""
    models = learn_models(plan, inputs, frames, out / "engine", progress)
    (out / _MODELS).write_bytes(pickle.dumps(models))  # last: it marks all as complete
    raise _LearnedError


def label(out: Path, dataset: Path, workers: Workers, log: Path) -> LabelRun:
    """Label all frames as `edgeloop label` does; workers are watched in the folder `log`."""
    models, count = _models(out), workers.count or 1
    took = []

    def watched(store: FolderStore, learned: LabelingModels) -> Any:
        return WatchedJob(LabelJob(store, learned), log, count)

    def timed(*arguments: Any) -> Any:
        start = time.monotonic()
        report = write_dataset(*arguments)
        took.append(time.monotonic() - start)
        return report

    def learned(*arguments: Any) -> LabelingModels:
        folder: Path = arguments[3]
        folder.mkdir()  # for the promise
        return models

    with (
        patch.object(labeling, "learn_models", learned),
        patch.object(labeling, "LabelJob", watched),
        patch.object(labeling, "write_dataset", timed),
    ):
        report = labeling.label_frames(_plan(out, dataset, workers), progress=progress_bar)
    return LabelRun(_tree_digest(dataset), sum(report.dataset.images.values()) / took[0])


def rate(out: Path, frames: int, workers: Workers, log: Path) -> RateRun:
    """Label some frames into a ledger in the folder `log`; the workers begin together."""
    models, count = _models(out), workers.count or 1
    store = FolderStore(out / "frames")
    entries = store.entries()[:frames]
    items = [LabelItem(entry.file, entry.name, None) for entry in entries]
    stamps = [store.stamp(entry.file) for entry in entries]
    watched = WatchedJob(LabelJob(store, models), log, count)
    rows = {}
    with Ledger(log / "ledger.sqlite3", {"job": "scaleout"}) as ledger:
        for place, row in run_job(watched, items, workers):
            ledger.add(row, stamps[place])
            rows[place] = row
            ended = time.monotonic()
    kept_bytes = sum(len(row.result.model_dump_json()) + len(row.look) for row in rows.values())
    written = [
        json.dumps([row.result.model_dump(), row.digest, row.look.hex()]).encode()
        for _, row in sorted(rows.items())
    ]
    return RateRun(
        frames_s=len(rows) / (ended - began(log, count)),
        digest=hashlib.sha256(b"\n".join(written)).hexdigest(),
        image_kb=sum(len(store.read(entry.file)) for entry in entries) / len(entries) / 1e3,
        row_kb=kept_bytes / len(rows) / 1e3,
    )


def _models(out: Path) -> LabelingModels:
    models: LabelingModels = pickle.loads((out / _MODELS).read_bytes())
    return models


def _plan(out: Path, dataset: Path, workers: Workers) -> LabelPlan:
    return LabelPlan(out / "frames", out / "exemplars.json", dataset, workers=workers.count, ray=workers.ray)


def _tree_digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.relative_to(folder)} {content}\n".encode())
    return digest.hexdigest()
