"""Make the next generation of a loop: label, train, export, judge, and promote or refuse."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from edgeloop.edge.frames.folder import read_frames
from edgeloop.edge.host.durable_file import make_folder
from edgeloop.export.data.yolo_dataset import Dataset, open_dataset
from edgeloop.export.export_options import ExportOptions, Precision
from edgeloop.export.exporter import export_bundle
from edgeloop.export.train.run_record import RunRecord, read_record
from edgeloop.export.train.training import train_detector
from edgeloop.export.train_options import TrainOptions
from edgeloop.export.trainer import OnStep
from edgeloop.labeling.dataset.lasting_splits import read_splits
from edgeloop.labeling.dataset.split import Split
from edgeloop.labeling.improvement.ancestry import Made, seen_frames, write_record
from edgeloop.labeling.improvement.generation_gate import Judge, Judgment, compare_bundles, judge_first
from edgeloop.labeling.improvement.held_out import HeldOut
from edgeloop.labeling.inputs.plan import LabelPlan
from edgeloop.labeling.job import label_frames
from edgeloop.labeling.lineage.generation import Generation, Verdict
from edgeloop.labeling.lineage.generation_lock import generation_lock
from edgeloop.labeling.lineage.loop_folder import LoopFolder
from edgeloop.labeling.step_progress import Progress
from edgeloop.models.errors import DataError, ModelError

__all__ = [
    "GenerationOptions",
    "label_generation",
    "labeling_plan",
    "make_generation",
    "make_locked",
    "next_number",
]


@dataclass(frozen=True, slots=True)
class GenerationOptions:
    """Options of a generation.

    Attributes:
        time_limit_s: Wall time of the training, s; None leaves it to `epochs`, or to the trainer's default.
        epochs: Passes over the training images; None leaves it to the time limit, or to a default.
        imgsz: Side of the training image, px; None takes the parent's, or chooses it from the objects.
        seed: Random seed.
        precision: Precision of the bundle, as of `edgeloop export`.
        tolerance: Loss of mAP50 on old held-out frames that the gate accepts.
        rehearsed: Maximum number of old training frames that are learned from again, drawn at random.
        held_out: Maximum number of old held-out frames to judge on, drawn at random.
        val_share: Share of new frames that is held out.
        most_missing: As of `LabelPlan.most_missing`.
        warm: Train from the weights of the parent; False starts from those that ship.
        judge: Judges the first generation; None lets it pass, as the gate of the export did.
        deploy: Called with the number of a generation that the gate lets pass; returns what became of it and,
            in words, where. None promotes it in the loop alone.
        recall: Estimated recall of the parent on the device, for the record; None if unknown.
        on_step: Called after every step of the training.
        progress: Shows the steps of labeling; None for silence.
        workers: As of `LabelPlan`.
    """

    time_limit_s: float | None = None
    epochs: int | None = None
    imgsz: int | None = None
    seed: int = 0
    precision: Precision = "fp32"
    tolerance: float = 0.02
    rehearsed: int = 1000
    held_out: int = 500
    val_share: float = 0.2
    most_missing: float | None = None
    warm: bool = True
    judge: Judge | None = None
    deploy: Callable[[LoopFolder, int], tuple[Verdict, str]] | None = None
    recall: float | None = None
    on_step: OnStep | None = None
    progress: Progress | None = None
    workers: int | None = None


def make_generation(
    loop: LoopFolder, options: GenerationOptions | None = None, tell: Callable[[str], None] = lambda _: None
) -> Generation:
    """Make the next generation of a loop; killed at any moment, the same call goes on.

    Frames are labeled by the teacher that learned from the exemplars, and by a person's decisions. The
    training begins with the weights of the generation in use; its frames stay among those to learn from. The
    bundle is promoted if the gate lets it pass, and is kept with the reason otherwise.

    Args:
        loop: Loop with exemplars and frames.
        options: Options; None for the defaults.
        tell: Called with lines about the progress.

    Returns:
        The record of the generation.

    Raises:
        NoInputError: There are no exemplars or no frames.
        DataError: They cannot be used, no object is held out to judge on, or another process makes a
            generation of this loop.
        EdgeloopError: See `label_frames`, `train_detector` and `export_bundle`.
    """
    options = options or GenerationOptions()
    with generation_lock(loop):
        return make_locked(loop, options, tell)


def make_locked(
    loop: LoopFolder, options: GenerationOptions, tell: Callable[[str], None] = lambda _: None
) -> Generation:
    """Do the work of `make_generation` for a caller that holds `generation_lock`."""
    data = open_dataset(label_generation(loop, options, tell), task=loop.settings.task)
    number, parent = next_number(loop), loop.current()
    folder = loop.generation_folder(number)
    _check(data, folder)
    left_out = len(read_frames(loop.frames)) - len(data.train) - len(data.val)
    why = "unsure, between the two, or more than are rehearsed"
    beside = f"; {left_out} are left out: {why}" if left_out else ""
    tell(f"{len(data.train)} frames to learn from, {len(data.val)} to judge on{beside}")
    run = _train(loop, parent, folder, options, tell)
    judgment = _export(parent, folder, options, tell)
    if judgment is None:
        tell("Compares it on held-out frames" if parent else "Judges it on held-out frames")
        judgment = _judge(loop, parent, folder, HeldOut.of(data, seen_frames(loop, parent)), options)
    verdict: Verdict = "refused"
    reason = judgment.refusal or judgment.praise
    if judgment.refusal is None:
        verdict, where = options.deploy(loop, number) if options.deploy else ("promoted", "")
        reason = "; ".join(filter(None, (reason, where)))
    made = Made(number, parent, run, data, judgment, options.recall)
    generation = write_record(loop, made, verdict, reason)
    if verdict == "promoted":
        loop.promote(number)
    tell(f"Generation {number}: {verdict}; {reason}")
    return generation


def next_number(loop: LoopFolder) -> int:
    """Number of the generation to make, or to go on with."""
    return max((each.number for each in loop.generations()), default=0) + 1


def label_generation(
    loop: LoopFolder, options: GenerationOptions, tell: Callable[[str], None] = lambda _: None
) -> Path:
    """Label the frames of the next generation; one that is labeled already stays as it is.

    Returns:
        Folder of the dataset.

    Raises:
        EdgeloopError: See `label_frames`.
    """
    number = next_number(loop)
    dataset = loop.generation_folder(number) / "dataset"
    if dataset.exists():
        return dataset
    tell(f"Generation {number}: labels the frames")
    make_folder(dataset.parent)
    plan = replace(
        labeling_plan(loop),
        out=dataset,
        val_share=options.val_share,
        left_out=_left_out(loop, number, options),
        most_missing=options.most_missing,
        workers=options.workers,
    )
    label_frames(plan, progress=options.progress, tell=tell)
    return dataset


def labeling_plan(loop: LoopFolder) -> LabelPlan:
    """Settings by which the frames of a loop are labeled, the same in all generations."""
    return LabelPlan(
        frames=loop.frames,
        exemplars=loop.exemplars,
        out=loop.generation_folder(1) / "dataset",
        decisions=loop.decisions if loop.decisions.is_file() else None,
        sam=loop.settings.sam,
        device=loop.settings.device,
        confidence=loop.settings.confidence,
        task=loop.settings.task,
        seed=loop.settings.seed,
        splits=loop.splits,
        kept=loop.teacher,
    )


def _left_out(loop: LoopFolder, number: int, options: GenerationOptions) -> frozenset[str]:
    """Old frames beyond those to rehearse and to judge on, drawn at random for each generation."""
    parent, splits = loop.current(), read_splits(loop.splits)
    seen = seen_frames(loop, parent)

    def beyond(part: Split, most: int) -> list[str]:
        old = (name for name, split in splits.items() if split is part and name in seen)
        return sorted(old, key=lambda name: hashlib.sha256(f"{number} {name}".encode()).digest())[most:]

    return frozenset((*beyond(Split.TRAIN, options.rehearsed), *beyond(Split.VAL, options.held_out)))


def _check(data: Dataset, folder: Path) -> None:
    """Check that there is something to judge by; if not, label anew next time, when there are more frames."""
    if any(len(image.class_id) for image in data.val):
        return
    shutil.rmtree(data.root)
    raise DataError(
        f"{folder}: no object on its {len(data.val)} held-out frames, so nothing could be judged; add frames"
    )


def _train(
    loop: LoopFolder,
    parent: Generation | None,
    folder: Path,
    options: GenerationOptions,
    tell: Callable[[str], None],
) -> RunRecord:
    run, imgsz, weights = folder / "run", options.imgsz, None
    if (run / "run.json").is_file():
        return read_record(run)
    start = "the weights that ship"
    if parent is not None:
        before = loop.generation_folder(parent.number) / "run"
        imgsz = imgsz or read_record(before).imgsz
        if options.warm:
            weights, start = str(before / read_record(before).weights_file), f"generation {parent.number}"
    tell(f"Trains from {start}")
    return train_detector(
        folder / "dataset",
        run,
        TrainOptions(
            task=loop.settings.task,
            weights=weights,
            epochs=options.epochs,
            time_limit_s=options.time_limit_s,
            imgsz=imgsz,
            seed=options.seed,
            device=loop.settings.device,
        ),
        options.on_step,
    )


def _export(
    parent: Generation | None, folder: Path, options: GenerationOptions, tell: Callable[[str], None]
) -> Judgment | None:
    """Export the bundle; the judgment if the gate of the export refused it."""
    bundle = folder / "model.onnx"
    if bundle.is_file():
        return None
    tell("Exports the bundle and checks it")
    try:
        export_bundle(
            folder / "run", folder / "dataset", bundle,
            ExportOptions(
                precision=options.precision,
                overwrite=True,
                parent_sha256=None if parent is None else parent.digests.bundle,
            ),
        )  # fmt: skip
    except ModelError as error:
        return Judgment(None, None, " ".join(str(error).split()))
    return None


def _judge(
    loop: LoopFolder, parent: Generation | None, folder: Path, frames: HeldOut, options: GenerationOptions
) -> Judgment:
    bundle = folder / "model.onnx"
    if parent is None:
        return (options.judge or judge_first)(bundle, frames)
    return compare_bundles(bundle, loop.bundle(parent.number), frames, options.tolerance)
