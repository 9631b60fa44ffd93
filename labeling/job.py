"""From frames and a few exemplars to a dataset; interrupted, the same call goes on where it was."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from edgeloop.edge.frames.folder import FrameEntry, read_frames
from edgeloop.edge.host.opencv import read_image
from edgeloop.labeling.dataset.split import split_by_time
from edgeloop.labeling.dataset.write import DatasetReport, LabeledFrame, write_dataset
from edgeloop.labeling.features.clip import TextClassifier, load_clip
from edgeloop.labeling.features.clip import fingerprint as fingerprint_of_clip
from edgeloop.labeling.features.embedding import LITE0, Embedder, embed
from edgeloop.labeling.inputs.exemplars import ExemplarFrame, Exemplars
from edgeloop.labeling.inputs.load import LabelInputs, read_inputs
from edgeloop.labeling.inputs.plan import LabelPlan
from edgeloop.labeling.labeler import FrameLabeler
from edgeloop.labeling.ledger import FrameResult, Ledger
from edgeloop.labeling.motion.background import Background
from edgeloop.labeling.prompts import TRAINING_STEPS, PropagatePrompter, SimilarPrompter, open_prompters
from edgeloop.labeling.prompts.copy_paste import paste_objects
from edgeloop.labeling.sam import Segmenter, fingerprint, load
from edgeloop.labeling.scoring.box_regression import fit_box_regressors, refine_boxes
from edgeloop.labeling.scoring.calibrate import fit_calibrator
from edgeloop.labeling.scoring.classifier import ClassModel, learn_classes, learn_classes_from_crops
from edgeloop.labeling.scoring.held_out import predict_held_out, segment_exemplars
from edgeloop.labeling.scoring.scorers import CropScorer, ExemplarScorer, MotionScorer
from edgeloop.labeling.tracks.smooth import fit_persistence, smooth_labels
from edgeloop.models.errors import DataError

__all__ = ["LabelReport", "label_frames"]

_REHEARSED = 20  # pictures, some made of exemplar frames, to predict_held_out on where things lie any way up
_BACKGROUND_FRAMES = 15  # looked at for what is none of the classes, where crops show no background

Stage = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""Opens a stage of so many steps, and gives what to call with the number of steps done."""


@dataclass(frozen=True, slots=True)
class LabelReport:
    """What came of it.

    Attributes:
        dataset: What was written.
        resumed: Frames that an earlier, interrupted run had done.
        frames_per_s: Of this run, without learning; 0 where nothing was left to do.
        seconds: All of this run.
    """

    dataset: DatasetReport
    resumed: int
    frames_per_s: float
    seconds: float


def label_frames(plan: LabelPlan, stage: Stage) -> LabelReport:
    """Label frames and write the dataset.

    Work in progress lies beside `plan.out` in a folder named OUT.unfinished; `plan.out` appears when all is
    done.

    Args:
        plan: What to do.
        stage: For progress bars: learning where to look, if that is learned, then the frames.

    Returns:
        What came of it.

    Raises:
        NoInputError: There are no frames, no exemplars or no such detector, or too few frames to learn a
            background from.
        DataError: The exemplars, the detector or frames.jsonl are malformed, `plan.out` exists, not one frame
            can be read, unfinished work was started with another plan, the detector knows other classes, or
            motion is asked for and the camera is not fixed.
        UsageError: There is no such segmenter, prompter or CLIP, prompts do not fit the exemplars or the
            detector, or words are given to a classifier that reads none.
        UnavailableError: A checkpoint is not in the cache and cannot be fetched, or open_clip is missing.
    """
    began = time.monotonic()
    if plan.out.exists():
        raise DataError(f"{plan.out}: exists already; name another folder with -o, or remove it")
    entries = read_frames(plan.frames)
    material = read_inputs(plan, entries)
    job = _job(plan, entries, material)
    unfinished = plan.out.with_name(plan.out.name + ".unfinished")
    unfinished.mkdir(parents=True, exist_ok=True)
    with Ledger(unfinished / "ledger.sqlite3", job) as ledger:
        todo = [entry for entry in entries if entry.file not in ledger]
        frames_per_s = _label_all(plan, entries, todo, material, ledger, stage) if todo else 0.0
        report = _write(plan, entries, material, ledger, unfinished / "dataset")
    if report.set_aside < len(entries):
        (unfinished / "dataset").replace(plan.out)
    shutil.rmtree(unfinished)
    if report.set_aside == len(entries):
        raise DataError(f"{plan.frames}: not one of {len(entries)} frames can be read")
    return LabelReport(report, len(entries) - len(todo), frames_per_s, time.monotonic() - began)


def _job(plan: LabelPlan, entries: Sequence[FrameEntry], material: LabelInputs) -> dict[str, str]:
    """Everything that a frame's result depends on."""
    files = hashlib.sha256("\0".join(entry.file for entry in entries).encode())
    return {
        "frames": files.hexdigest(),
        **material.digests(),
        "looks": plan.classifier
        if plan.classifier == LITE0
        else f"{plan.classifier} {fingerprint_of_clip(plan.classifier)}",
        "sam": f"{plan.sam} {fingerprint(plan.sam)}",
        "prompts": ",".join(plan.prompts),
        "confidence": str(plan.confidence),
        "seed": str(plan.seed),
        "version": version("edgeloop"),
    }


def _label_all(
    plan: LabelPlan,
    entries: Sequence[FrameEntry],
    todo: Sequence[FrameEntry],
    material: LabelInputs,
    ledger: Ledger,
    stage: Stage,
) -> float:
    """Label what is left to do; frames a second."""
    labeler = _learn(plan, material, stage)
    by_person = {frame.path: frame for frame in material.exemplars.frames}
    carried = [prompter for prompter in labeler.prompters if isinstance(prompter, PropagatePrompter)]
    before = {entry: prior for prior, entry in pairwise(entries) if prior.source == entry.source}
    began = time.monotonic()
    with stage("Labeling", len(todo)) as advance:
        for entry in todo:
            for prompter in carried:
                _remember(prompter, plan.frames, before.get(entry), ledger)
            path = (plan.frames / entry.file).resolve()
            ledger.add(_label_one(path, entry.file, labeler, by_person))
            advance(1)
    return len(todo) / (time.monotonic() - began)


def _remember(prompter: PropagatePrompter, folder: Path, before: FrameEntry | None, ledger: Ledger) -> None:
    """Show the frame before and its labels, which are in the ledger whichever run has made them."""
    image = None if before is None else read_image(folder / before.file)
    if before is None or image is None:
        prompter.forget()
        return
    (result,) = ledger.results(iter([before.file]))
    prompter.remember(image, result.labels)


def _learn(plan: LabelPlan, material: LabelInputs, stage: Stage) -> FrameLabeler:
    exemplars, background = material.exemplars, material.background
    segmenter = load(plan.sam, offline=plan.offline)
    clip = None if plan.classifier == LITE0 else load_clip(plan.classifier, offline=plan.offline)
    embedder = embed if clip is None else clip.embed
    steps = TRAINING_STEPS * plan.prompts.count(SimilarPrompter.name)
    with stage("Learning", steps) if steps else nullcontext(lambda done: None) as advance:
        frames = segment_exemplars(exemplars, segmenter)
        classes_to_label = len(exemplars.names)
        prompters = open_prompters(
            plan.prompts,
            frames,
            classes_to_label,
            background,
            material.detector,
            seed=plan.seed,
            advance=advance,
        )
        if plan.exemplars is None and background is not None:
            moving = MotionScorer(background)
            named = moving if clip is None else CropScorer(TextClassifier(clip, exemplars.names), moving)
            return FrameLabeler(prompters, segmenter, named, plan.confidence)
        if exemplars.crops and background is not None:
            classes = _learn_from_crops(plan, exemplars, background, segmenter, embedder)
            scorer = CropScorer(classes, MotionScorer(background))
            return FrameLabeler(prompters, segmenter, scorer, plan.confidence)
        if any(isinstance(prompter, SimilarPrompter) and prompter.any_way for prompter in prompters):
            rng, times = np.random.default_rng(plan.seed), _REHEARSED // len(frames) - 1
            frames += [paste_objects(frame, rng) for frame in frames for _ in range(times)]
        held_out = predict_held_out(frames, prompters, segmenter)
        classes, looks = learn_classes(classes_to_label, held_out, embedder=embedder, seed=plan.seed)
        fitter, unseen = fit_box_regressors(exemplars.frames, seed=plan.seed)
    fitted = [refine_boxes(unseen[one.frame.number], one.frame.image, one.found) for one in held_out]
    calibrator = fit_calibrator(held_out, looks, fitted)
    return FrameLabeler(prompters, segmenter, ExemplarScorer(classes, calibrator), plan.confidence, fitter)


def _learn_from_crops(
    plan: LabelPlan, exemplars: Exemplars, background: Background, segmenter: Segmenter, embedder: Embedder
) -> ClassModel:
    entries = read_frames(plan.frames)
    chosen = np.unique(np.linspace(0, len(entries) - 1, _BACKGROUND_FRAMES).round().astype(int))
    read = (read_image(plan.frames / entries[row].file) for row in chosen)
    frames = [image for image in read if image is not None]
    if not frames:
        raise DataError(f"{plan.frames}: not one of {len(chosen)} frames looked at can be read")
    return learn_classes_from_crops(
        exemplars, frames, background, segmenter, embedder=embedder, seed=plan.seed
    )


def _label_one(
    path: Path, file: str, labeler: FrameLabeler, by_person: Mapping[Path, ExemplarFrame]
) -> FrameResult:
    image = read_image(path)
    if image is None:
        return FrameResult(file=file, problem="not an image that can be read (corrupt or cut off)")
    drawn = by_person.get(path)
    if drawn is None and (problem := labeler.problem(image)) is not None:
        return FrameResult(file=file, problem=problem)
    labels, unsure = labeler.label(image) if drawn is None else (labeler.outline(image, drawn), [])
    height, width = image.shape[:2]
    return FrameResult(
        file=file,
        width=width,
        height=height,
        labels=tuple(labels),
        unsure=tuple(unsure),
        by_person=drawn is not None,
    )


def _write(
    plan: LabelPlan, entries: Sequence[FrameEntry], material: LabelInputs, ledger: Ledger, folder: Path
) -> DatasetReport:
    if folder.exists():
        shutil.rmtree(folder)  # an earlier run was interrupted while it wrote
    splits = split_by_time(entries, val_share=plan.val_share, gap_share=plan.gap_share)
    persistence = fit_persistence(_found(entries, ledger))
    results = smooth_labels(_found(entries, ledger), persistence, confidence=plan.confidence)
    frames = (LabeledFrame(*parts) for parts in zip(entries, splits, results, strict=True))
    info: dict[str, Any] = {
        "description": "made by edgeloop label",
        "sam": plan.sam,
        "sam_digest": fingerprint(plan.sam),
        "looks": plan.classifier,
        "prompts": list(plan.prompts),
        "confidence": plan.confidence,
    }
    if plan.detector is not None and material.detector is not None:
        info |= {"detector": plan.detector.name, "detector_digest": material.detector.digest}
    return write_dataset(folder, material.exemplars.names, frames, plan.frames, info)


def _found(entries: Sequence[FrameEntry], ledger: Ledger) -> Iterator[tuple[FrameEntry, FrameResult]]:
    return zip(entries, ledger.results(entry.file for entry in entries), strict=True)
