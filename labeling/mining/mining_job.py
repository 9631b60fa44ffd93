"""Job of `edgeloop mine`: a teacher looks at a ring, resumable, while a device may write to it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from edgeloop.edge.frames.folder import FrameEntry
from edgeloop.edge.host.durable_file import make_folder
from edgeloop.edge.ring.ring_database import IMAGES, Ring, read_ring
from edgeloop.edge.ring.ring_entry import RingEntry
from edgeloop.labeling.build import DetectorModels, learn_models
from edgeloop.labeling.dataset.decisions import Decision, read_decisions
from edgeloop.labeling.engine.coverage import LEAST_PROBABILITY
from edgeloop.labeling.inputs.load import LabelInputs, read_inputs
from edgeloop.labeling.inputs.plan import LabelPlan
from edgeloop.labeling.job import job_key, kept_engine
from edgeloop.labeling.label_job import LabelItem, LabelJob
from edgeloop.labeling.labeler import UNSURE_SHARE
from edgeloop.labeling.ledger import FrameResult, Ledger
from edgeloop.labeling.lineage.loop_folder import LoopFolder
from edgeloop.labeling.mining.estimate_recall import TeacherErrors
from edgeloop.labeling.mining.mine import MinedRing, choose_entries, compare_ring
from edgeloop.labeling.mining.mine_plan import MinePlan, label_plan, loop_of
from edgeloop.labeling.mining.mined_folder import MinedFolder
from edgeloop.labeling.mining.mined_frame import MinedFrame
from edgeloop.labeling.mining.mining_report import figures_json, figures_table, summary_line
from edgeloop.labeling.mining.ring_frames import RingFrames
from edgeloop.labeling.sam import fingerprint
from edgeloop.labeling.step_progress import Progress, no_progress
from edgeloop.labeling.unlabeled import unlabeled_frames
from edgeloop.labeling.workers.open_pool import check_workers, run_job
from edgeloop.labeling.workers.workers import Workers
from edgeloop.models.detections import Detections
from edgeloop.models.errors import NoInputError, UsageError

__all__ = ["MinePlan", "MineReport", "mine_folder"]


@dataclass(frozen=True, slots=True)
class MineReport:
    """Outcome of mining.

    Attributes:
        folder: Folder of everything that was made.
        mined: Frames and figures.
        confidence: Minimum score of a label that counts as a miss.
        looked_at: Frames that the teacher looked at in this run.
        left_out: Frames of the ranked share that were left out.
        seconds: Duration of this run.
    """

    folder: MinedFolder
    mined: MinedRing
    confidence: float
    looked_at: int
    left_out: int
    seconds: float

    @property
    def table(self) -> str:
        """Figures as a table."""
        return figures_table(self.mined)

    @property
    def summary(self) -> str:
        """Figures in one line, and what to do next."""
        return summary_line(self.mined, self.confidence, self.folder.frames)

    @property
    def json(self) -> dict[str, Any]:
        """Figures and counts as one JSON object."""
        return {
            **figures_json(self.mined, self.confidence),
            "looked_at": self.looked_at,
            "left_out": self.left_out,
            "seconds": math.ceil(self.seconds),
        }


def mine_folder(
    plan: MinePlan, *, progress: Progress | None = None, tell: Callable[[str], None] = lambda _: None
) -> MineReport:
    """Mine a ring and write what is found; given the same plan again, look at new frames only.

    Args:
        plan: Settings.
        progress: Shows the steps; None for silence.
        tell: Called with lines about the job before it begins.

    Raises:
        NoInputError: There is no ring, no frame in it, or no exemplars.
        DataError: The ring, the loop or the exemplars are malformed, or `plan.out` holds something else.
        UsageError: The ring is in no loop and there are no exemplars, or they are no boxes on frames.
        UnavailableError: As of `label_frames`.
        UnavailableError: A file cannot be written.
    """
    started = time.monotonic()
    progress = progress or no_progress
    loop = loop_of(plan.ring)
    settings = label_plan(plan, loop)
    workers = Workers(plan.workers, plan.ray)
    ring = read_ring(plan.ring)
    folder = MinedFolder.create(settings.out)
    inputs = _read_exemplars(settings, ring)
    entries = _undrawn(choose_entries(ring, plan.top), inputs)
    in_ring = {entry.frame.file for entry in ring.entries}
    earlier = [own for own in _decided(folder, _decisions(folder, loop)) if own.file not in in_ring]
    store = RingFrames.of(plan.ring / IMAGES, folder.frames, (*(own.frame for own in entries), *earlier))
    check_workers(workers)
    teacher = _learn(settings, inputs, folder, loop, progress)
    engine = teacher.models.engine
    tell(str(engine.promise or "Nothing is known of what the teacher misses: box a second frame."))
    with Ledger(folder.ledger(teacher.digest), teacher.job) as ledger:
        looked_at = _look(store, teacher.models, workers, ledger, progress)
        decisions = _decisions(folder, loop)  # a person may have gone on meanwhile
        decided = _decided(folder, decisions)
        results = {own.file: own for own in ledger.results(sorted(ledger.stamps()))}
        ledger.forget_others([*(own.frame.name for own in ring.entries), *(own.name for own in decided)])
    folder.forget_teachers(teacher.digest)
    errors = TeacherErrors(engine.calibration.spread, engine.coverage)
    mined = _compare(ring, entries, results, inputs.exemplars.names, errors, store, settings.seed)
    shown = [own.entry.frame for own in mined.frames if _is_shown(own)]
    names = {own.name for own in shown}
    sound = (own for own in decided if own.name in results and results[own.name].problem is None)
    kept = [own for own in sound if own.name not in names]
    info = {**_info(settings, inputs), "teacher": teacher.digest}
    copied = folder.copy_frames([*shown, *kept], store)
    folder.write_labels(mined.names, copied, results, mined.frames, decisions, inputs.confidence, info)
    folder.write_figures({**figures_json(mined, inputs.confidence), "teacher": teacher.digest})
    return MineReport(
        folder,
        mined,
        inputs.confidence,
        looked_at,
        len(ring.entries) - len(entries),
        time.monotonic() - started,
    )


class _Learned(NamedTuple):
    """Teacher that learned, with its digest and all that its answers depend on."""

    models: DetectorModels
    digest: str
    job: dict[str, str]


def _read_exemplars(settings: LabelPlan, ring: Ring) -> LabelInputs:
    if not ring.entries:
        raise NoInputError(f"{ring.folder}: no frame in the ring yet; let the device run for a while")
    inputs = read_inputs(settings, ring.folder / IMAGES, [own.frame for own in ring.entries])
    if inputs.background is not None:
        raise UsageError(f"{settings.exemplars}: expected boxes on frames, from which a teacher learns")
    return inputs


def _undrawn(entries: Sequence[RingEntry], inputs: LabelInputs) -> list[RingEntry]:
    """Leave out exemplar frames: the teacher and maybe the device have learned them by heart."""
    drawn = {frame.path.name for frame in inputs.drawn}  # of copies in a loop, too
    return [entry for entry in entries if entry.frame.file not in drawn]


def _decided(folder: MinedFolder, decisions: Sequence[Decision]) -> list[FrameEntry]:
    """Frames that a person decided on, which stay although the device may evict them."""
    files = {decision.file for decision in decisions}
    return [own for own in folder.copied() if own.name in files]


def _learn(
    settings: LabelPlan,
    inputs: LabelInputs,
    folder: MinedFolder,
    loop: LoopFolder | None,
    progress: Progress,
) -> _Learned:
    job = job_key(settings, inputs)
    learned = kept_engine(folder.teachers if loop is None else loop.teacher, job)
    make_folder(learned.parent)
    with Ledger(learned.parent / "ledger.sqlite3", job):  # no second process learns the same meanwhile
        models = learn_models(settings, inputs, [], learned, progress)
    assert isinstance(models, DetectorModels)  # noqa: S101  there are boxes on frames
    return _Learned(models, learned.parent.name, {**job, "least": str(LEAST_PROBABILITY)})


def _info(settings: LabelPlan, inputs: LabelInputs) -> dict[str, Any]:
    """Settings for instances.json."""
    return {
        "description": "made by edgeloop mine",
        "sam": settings.sam,
        "sam_digest": fingerprint(settings.sam),
        "classifier": settings.classifier,
        "confidence": inputs.confidence,
    }


def _decisions(folder: MinedFolder, loop: LoopFolder | None) -> list[Decision]:
    path = folder.studio / "decisions.jsonl" if loop is None else loop.decisions
    return read_decisions(path) if path.is_file() else []


def _look(
    store: RingFrames, models: DetectorModels, workers: Workers, ledger: Ledger, progress: Progress
) -> int:
    """Let the teacher look at the frames that are new to it; their number."""
    todo = [(entry, stamp) for entry, stamp in unlabeled_frames(store.listed, store, ledger) if stamp]
    items = [LabelItem(entry.file, entry.name, None) for entry, _ in todo]
    job = LabelJob(store, replace(models, least=LEAST_PROBABILITY))
    with progress(len(items), "Mining") as advance, closing(run_job(job, items, workers)) as rows:
        for place, row in rows:
            ledger.add(row, todo[place][1])
            advance(1)
    return len(items)


def _compare(
    ring: Ring,
    entries: Sequence[RingEntry],
    results: dict[str, FrameResult],
    names: Sequence[str],
    errors: TeacherErrors,
    store: RingFrames,
    seed: int,
) -> MinedRing:
    sound = {
        entry.frame.file: _detections(results[entry.frame.name])
        for entry in entries
        if entry.frame.name in results and results[entry.frame.name].problem is None
    }
    frames, estimate = compare_ring(ring, entries, sound, names, errors, seed=seed)
    lost = [entry.frame for entry in entries if entry.frame.file not in sound]
    vanished = sum(not store.stamp(frame.file) for frame in lost)
    return MinedRing(tuple(names), frames, estimate, vanished, len(lost) - vanished)


def _detections(result: FrameResult) -> Detections:
    found = [*result.labels, *result.unsure]
    return Detections(
        np.array([own.xyxy for own in found], np.float32).reshape(-1, 4),
        np.array([own.score for own in found], np.float32),
        np.array([own.class_id for own in found], np.int64),
    )


def _is_shown(frame: MinedFrame) -> bool:
    """True for the random share, and for what a person may want to look at."""
    likely = bool((frame.found.confidence[frame.missed] >= UNSURE_SHARE / 2).any() or frame.alone.any())
    return likely or frame.entry.share == "random" or frame.entry.doubt > 0
