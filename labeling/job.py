"""Labeling of a folder of frames, resumable after an interruption."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import time
from collections.abc import Callable, Container, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from edgeloop.edge.frames.folder import FrameEntry
from edgeloop.edge.host.durable_file import replace_file
from edgeloop.labeling.build import DetectorModels, learn_models
from edgeloop.labeling.dataset.apply_decisions import (
    decisions_digest,
    is_applied,
    keep_original,
    read_info,
    read_task,
)
from edgeloop.labeling.dataset.corrected import read_corrected
from edgeloop.labeling.dataset.decisions import Decision, by_frame, decide, read_decisions
from edgeloop.labeling.dataset.lasting_splits import lasting_splits
from edgeloop.labeling.dataset.split import Split, split_frames
from edgeloop.labeling.dataset.write import DatasetReport, LabeledFrame, write_dataset
from edgeloop.labeling.engine.promise import Promise
from edgeloop.labeling.features.embedders import fingerprint as fingerprint_of_embedder
from edgeloop.labeling.finished_labels import (
    count_labels,
    frames_digest,
    is_finished,
    is_of_inputs,
    other_options,
    rewrite_labels,
)
from edgeloop.labeling.frames.frame_look import FrameLook
from edgeloop.labeling.frames.frame_store import FrameStore
from edgeloop.labeling.frames.open_store import open_frames
from edgeloop.labeling.frames.recordings import FrameGroups, describe_groups, group_frames
from edgeloop.labeling.inputs.frames_folder import frame_paths, local_folder
from edgeloop.labeling.inputs.load import LabelInputs, read_inputs
from edgeloop.labeling.inputs.plan import LITE0, LabelPlan
from edgeloop.labeling.label_job import LabelItem, LabelJob
from edgeloop.labeling.ledger import FrameResult, LabeledRow, Ledger
from edgeloop.labeling.motion.confirm import confirm_moving
from edgeloop.labeling.sam import fingerprint
from edgeloop.labeling.step_progress import Progress, no_progress
from edgeloop.labeling.unlabeled import unlabeled_frames
from edgeloop.labeling.workers.open_pool import check_workers, run_job
from edgeloop.labeling.workers.workers import Workers
from edgeloop.models.errors import DataError, NoInputError
from edgeloop.models.weights.digest import file_sha256

__all__ = ["LabelReport", "job_key", "kept_engine", "label_frames", "learned_folder"]

_PROMISE, _COPIES = "promise.json", "frames"
_SHORT = 12  # digits of a digest in the name of a folder
_LEDGER_FORMAT = "2"  # 2 has stamps, digests and looks


@dataclass(frozen=True, slots=True)
class LabelReport:
    """Outcome of a labeling job.

    Attributes:
        dataset: Counts of the dataset.
        footage: One line such as "film: 3 recordings".
        promise: Expected quality, fields as of `labeling.engine.promise.Promise`; None if unknown.
        resumed: Frames that an earlier, interrupted run had labeled.
        frames_per_s: Speed of this run without learning; 0 if no frame was left.
        seconds: Duration of this run.
    """

    dataset: DatasetReport
    footage: str
    promise: dict[str, Any] | None
    resumed: int
    frames_per_s: float
    seconds: float


def label_frames(
    plan: LabelPlan, *, progress: Progress | None = None, tell: Callable[[str], None] = lambda _: None
) -> LabelReport:
    """Label frames and write the dataset; given the same plan again, resume an interrupted job.

    Unfinished work is kept beside `plan.out` in a folder named OUT.unfinished; `plan.out` appears when
    everything is done. Given the plan of a finished job again, its labels are counted.

    Args:
        plan: Settings of the job.
        progress: Shows the steps, such as `edgeloop.edge.cli.progress.progress_bar`; None for silence.
        tell: Called with lines about the job before labeling begins.

    Raises:
        NoInputError: There are no frames or no exemplars, or too few frames to learn a background from.
        DataError: The exemplars, `plan.corrected`, `plan.decisions` or frames.jsonl are malformed, `plan.out`
            exists and is not what this job made, or has labels for another task that were edited in another
            tool; not one frame can be read, unfinished work was started with other settings, or motion is
            asked for and the camera is not fixed.
        UsageError: There is no such segmenter or classifier, an option does not fit the exemplars, class
            names are given to a classifier that reads none, or `plan.workers` is less than 1.
        UnavailableError: A checkpoint is not in the cache and cannot be downloaded; a package is missing;
            object storage refuses access or does not answer; or no worker can be started.
    """
    started = time.monotonic()
    progress = progress or no_progress
    workers = Workers(plan.workers, plan.ray)
    is_labeled = plan.out.exists()
    if is_labeled and not is_finished(plan.out):
        raise _exists(plan)
    unfinished = plan.out.with_name(plan.out.name + ".unfinished")
    store, frames = open_frames(plan.frames, unfinished / _COPIES)
    entries = store.entries()
    corrected = None if plan.corrected is None else read_corrected(plan.corrected, frames)
    _decisions(plan)  # a malformed line is reported now, not after hours
    inputs = read_inputs(plan, frames, entries, corrected)
    if is_labeled:
        try:
            return _finished(plan, inputs, entries, store, started, tell)
        finally:
            _remove_copies(unfinished)
    job = job_key(plan, inputs)
    place = unfinished if plan.kept is None else plan.kept / _short(job)
    learned = learned_folder(place, job)
    with _removed_if_empty(unfinished, place, learned), Ledger(place / "ledger.sqlite3", job) as ledger:
        todo = unlabeled_frames(entries, store, ledger)
        frames_per_s = 0.0
        if todo:
            paths = frame_paths(frames, [entry.file for entry in entries])
            check_workers(workers)
            models = learn_models(plan, inputs, paths, learned, progress)
            if isinstance(models, DetectorModels):
                tell(_announce(models.engine.promise, learned / _PROMISE))
            drawn, folder = {frame.path: frame for frame in inputs.drawn}, local_folder(frames)
            items = [
                LabelItem(entry.file, entry.name, drawn.get((folder / entry.file).resolve()))
                for entry, _ in todo
            ]
            stamps = [stamp for _, stamp in todo]
            rows = run_job(LabelJob(store, models), items, workers, tell)
            frames_per_s = _label_all(rows, stamps, ledger, progress)
        looks = ledger.looks(entry.name for entry in entries)
        groups = group_frames(entries, map(FrameLook.from_bytes, looks), plan.footage)
        promise = _saved_promise(learned / _PROMISE)
        report = _write(plan, store, entries, groups, inputs, ledger, unfinished / "dataset", promise)
    if plan.kept is not None:
        _remove_others(plan.kept, place)
    if report.set_aside < len(entries):
        (unfinished / "dataset").replace(plan.out)
    shutil.rmtree(unfinished)
    if report.set_aside == len(entries):
        raise DataError(f"{store}: not one of {len(entries)} frames can be read")
    return LabelReport(
        report,
        groups.description,
        promise,
        len(entries) - len(todo),
        frames_per_s,
        time.monotonic() - started,
    )


@contextmanager
def _removed_if_empty(unfinished: Path, place: Path, learned: Path) -> Iterator[None]:
    """Create the folders of a job; if it is refused before it did anything, none of them stays."""
    unfinished.mkdir(parents=True, exist_ok=True)
    place.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        for folder in (learned, place, unfinished):
            with suppress(OSError):  # not empty, or not there
                folder.rmdir()
        raise


def _remove_copies(unfinished: Path) -> None:
    """Remove copies of exemplar images of object storage; the unfinished work of another job stays."""
    for folder in unfinished.glob(f"{_COPIES}*"):
        shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):  # not empty, or not there
        unfinished.rmdir()


def _exists(plan: LabelPlan, labeled: str = "") -> DataError:
    told = labeled and f", labeled {labeled}"
    return DataError(f"{plan.out}: exists already{told}; name another folder with -o, or remove it")


def _finished(
    plan: LabelPlan,
    inputs: LabelInputs,
    entries: Sequence[FrameEntry],
    store: FrameStore,
    started: float,
    tell: Callable[[str], None],
) -> LabelReport:
    """Count the labels in `plan.out`, if they are of this job; those for another task are written again."""
    info = read_info(plan.out)
    footage = info.get("footage")
    if footage is None:  # written by an older version, or by another tool
        raise _exists(plan)
    if others := other_options(plan.out, _options(plan, inputs)):
        raise _exists(plan, others)
    if plan.footage not in ("auto", footage["kind"]):
        raise _exists(plan, f"as {footage['kind']}, not {plan.footage}")
    if plan.decisions is not None and not is_applied(plan.out, _decisions(plan)):
        raise _exists(plan, "with other --decisions")
    if not is_of_inputs(plan.out, _parents(inputs), entries, store):
        raise _exists(plan, "from other frames or exemplars")
    if read_task(plan.out) == plan.task:
        tell(f"{plan.out}: is labeled already; nothing is left to do.")
        report = count_labels(plan.out, entries, plan.task)
    else:
        what = "boxes" if plan.task == "detect" else "polygons"
        tell(f"{plan.out}: is labeled already; its labels are written again as {what}.")
        report = rewrite_labels(plan.out, plan.task, entries)
    described = describe_groups(footage["kind"], len(entries), footage["groups"])
    return LabelReport(report, described, info.get("promise"), len(entries), 0.0, time.monotonic() - started)


def kept_engine(kept: Path, job: Mapping[str, str]) -> Path:
    """Folder in which `LabelPlan.kept` keeps what the engine learned for a job."""
    return learned_folder(kept / _short(job), job)


def learned_folder(place: Path, job: Mapping[str, str]) -> Path:
    """Folder of what the engine learned for a job: named by it, for another may take over the place."""
    return place / f"engine-{_short(job)}"


def _short(job: Mapping[str, str]) -> str:
    return hashlib.sha256(repr(dict(job)).encode()).hexdigest()[:_SHORT]


def _remove_others(kept: Path, place: Path) -> None:
    """Remove what was kept for jobs with other exemplars or settings."""
    for folder in kept.iterdir():
        if folder != place and re.fullmatch(f"[0-9a-f]{{{_SHORT}}}", folder.name):
            shutil.rmtree(folder)


def _decisions(plan: LabelPlan) -> list[Decision]:
    return [] if plan.decisions is None else read_decisions(plan.decisions)


def job_key(plan: LabelPlan, inputs: LabelInputs) -> dict[str, str]:
    """Everything but the frame that its result depends on, so that the ledger of another job is not taken up.

    `LabelPlan.decisions` are applied and `LabelPlan.task` decides as the dataset is written, and so do not
    count.
    """
    classifier = plan.classifier
    if classifier != LITE0:
        classifier += f" {fingerprint_of_embedder(classifier)}"
    return {
        **inputs.digests(),
        "classifier": classifier,
        "sam": f"{plan.sam} {fingerprint(plan.sam)}",
        "confidence": str(inputs.confidence),
        "weights": _fingerprint_of_weights(plan.weights),
        "device": plan.device,
        "seed": str(plan.seed),
        "version": version("edgeloop"),
        "ledger": _LEDGER_FORMAT,
    }


def _fingerprint_of_weights(name: str | None) -> str:
    """Name of start weights, with the digest of a file."""
    if name is None or not name.endswith(".safetensors"):
        return name or ""
    try:
        return f"{name} sha256:{file_sha256(Path(name))}"
    except OSError as error:
        raise NoInputError(f"--weights {name}: cannot be read ({error.strerror})") from error


def _announce(promise: Promise | None, path: Path) -> str:
    """Save the promise for the dataset, and put it into words."""
    if promise is None:
        return "Nothing can be promised: no class is on two exemplar frames; box more frames."
    replace_file(path, promise.model_dump_json().encode())
    return str(promise)


def _saved_promise(path: Path) -> dict[str, Any] | None:
    """Read what `_announce` saved, perhaps in an earlier run."""
    promise: dict[str, Any] | None = json.loads(path.read_text("utf-8")) if path.is_file() else None
    return promise


def _label_all(
    rows: Generator[tuple[int, LabeledRow], None, None],
    stamps: Sequence[str],
    ledger: Ledger,
    progress: Progress,
) -> float:
    """Note the labels of the frames that are left; frames per second."""
    started = time.monotonic()
    with progress(len(stamps), "Labeling") as advance, closing(rows):
        for place, row in rows:
            ledger.add(row, stamps[place])
            advance(1)
    return len(stamps) / (time.monotonic() - started)


def _split(plan: LabelPlan, entries: Sequence[FrameEntry], groups: FrameGroups) -> list[Split]:
    split = split_frames if plan.splits is None else partial(lasting_splits, plan.splits)
    splits = split(entries, groups, val_share=plan.val_share, gap_share=plan.gap_share, seed=plan.seed)
    return [
        Split.GAP if entry.name in plan.left_out else own for entry, own in zip(entries, splits, strict=True)
    ]


def _lacks_labels(plan: LabelPlan, result: FrameResult, decided: Container[str]) -> bool:
    """True for a frame that would teach that objects are background; see `LabelPlan.most_missing`."""
    if plan.most_missing is None or result.by_person or result.file in decided:
        return False
    return result.expected_missing > max(1.0, plan.most_missing * len(result.labels))


def _write(
    plan: LabelPlan,
    store: FrameStore,
    entries: Sequence[FrameEntry],
    groups: FrameGroups,
    inputs: LabelInputs,
    ledger: Ledger,
    folder: Path,
    promise: dict[str, Any] | None,
) -> DatasetReport:
    if folder.exists():
        shutil.rmtree(folder)  # an earlier run was interrupted while it wrote
    splits = _split(plan, entries, groups)
    results = ledger.results(entry.name for entry in entries)
    if inputs.background is not None and plan.exemplars is None:  # what moves is all there is to go by
        results = confirm_moving(zip(groups.numbers, results, strict=True), confidence=inputs.confidence)
    names = inputs.exemplars.names
    decisions = _decisions(plan)  # with those that a person made meanwhile
    decided = {decision.file for decision in decisions}
    if decisions:
        folder.mkdir(parents=True)
        results = decide(results, by_frame(decisions), names, partial(keep_original, folder))
    frames = (
        LabeledFrame(entry, Split.GAP if _lacks_labels(plan, result, decided) else split, result, number)
        for entry, split, result, number in zip(entries, splits, results, groups.numbers, strict=True)
    )
    info = _info(plan, inputs)
    info["footage"] = {"kind": groups.kind, "groups": len(groups.groups)}
    stamps = ledger.stamps()
    info["parents"]["frames"] = frames_digest((entry.name, stamps[entry.name][1]) for entry in entries)
    if promise is not None:
        info["promise"] = promise
    if decisions:
        info["decisions"] = info["parents"]["decisions"] = decisions_digest(decisions)
    return write_dataset(folder, names, frames, store, info, task=plan.task)


def _info(plan: LabelPlan, inputs: LabelInputs) -> dict[str, Any]:
    """Settings of the job for instances.json."""
    return {
        "description": "made by edgeloop label",
        **_options(plan, inputs),
        "parents": _parents(inputs),
    }


def _options(plan: LabelPlan, inputs: LabelInputs) -> dict[str, Any]:
    """Options that a dataset depends on; `LabelPlan.footage` is told by what it was taken for."""
    return {
        "sam": plan.sam,
        "sam_digest": fingerprint(plan.sam),
        "classifier": plan.classifier,
        "weights": _fingerprint_of_weights(plan.weights),
        "confidence": inputs.confidence,
        "val_share": plan.val_share,
        "gap_share": plan.gap_share,
        "seed": plan.seed,
    }


def _parents(inputs: LabelInputs) -> dict[str, str]:
    return {"exemplars": inputs.digests()["exemplars"]}
