"""Builders of the frame labeler, one for each kind of exemplars."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.host.opencv import read_image
from edgeloop.labeling.features.clip import Clip, TextClassifier
from edgeloop.labeling.features.embedders import load_embedder
from edgeloop.labeling.features.embedding import Embedder
from edgeloop.labeling.inputs.exemplars import Exemplars
from edgeloop.labeling.inputs.load import LabelInputs
from edgeloop.labeling.inputs.plan import LabelPlan
from edgeloop.labeling.labeler import FrameLabeler
from edgeloop.labeling.motion.background import Background
from edgeloop.labeling.prompts import TRAINING_STEPS, SimilarPrompter, open_prompters
from edgeloop.labeling.prompts.copy_paste import paste_objects
from edgeloop.labeling.sam import Segmenter, load
from edgeloop.labeling.scoring.box_regression import fit_box_regressors, refine_boxes
from edgeloop.labeling.scoring.calibrate import fit_calibrator
from edgeloop.labeling.scoring.classifier import ClassExamples, ClassModel, learn_classes
from edgeloop.labeling.scoring.crop_classes import learn_classes_from_crops
from edgeloop.labeling.scoring.held_out import HeldOutFrame, predict_held_out, segment_exemplars
from edgeloop.labeling.scoring.scorers import CropScorer, ExemplarScorer, MotionScorer, Scorer
from edgeloop.labeling.step_progress import Progress, no_progress
from edgeloop.models.errors import DataError, UsageError

__all__ = ["build_labeler"]

_HELD_OUT_PICTURES = 20  # exemplar frames with their augmentations, if objects appear in any orientation
_BACKGROUND_FRAMES = 15  # frames from which crops get their background examples


def build_labeler(
    plan: LabelPlan, inputs: LabelInputs, frames: Sequence[Path], progress: Progress
) -> FrameLabeler:
    """Load the models of a job, and learn from its exemplars; `frames` are the images of all frames.

    Raises:
        DataError: No frame that is needed for background examples can be read.
        UsageError: There is no such segmenter or classifier.
        UnavailableError: A checkpoint is not in the cache and cannot be downloaded, or open_clip or timm is
            missing.
    """
    segmenter = load(plan.sam, device=plan.device, offline=plan.offline, progress=progress)
    embedder = load_embedder(plan.classifier, offline=plan.offline)
    if inputs.exemplars.frames:
        return _from_boxed_frames(
            inputs, segmenter, embedder, plan.prompts, plan.confidence, seed=plan.seed, progress=progress
        )
    names, background = inputs.exemplars.names, inputs.background
    if background is None:
        raise UsageError("crops and --classes need --prompts motion")
    prompters = open_prompters(plan.prompts, (), len(names), background, inputs.detector, seed=plan.seed)
    scorer: Scorer = MotionScorer(background)
    if inputs.exemplars.crops:
        classes = _learn_from_crops(inputs.exemplars, frames, background, segmenter, embedder, seed=plan.seed)
        scorer = CropScorer(classes, MotionScorer(background))
    elif isinstance(embedder, Clip):
        scorer = CropScorer(TextClassifier(embedder, names), MotionScorer(background))
    return FrameLabeler(prompters, segmenter, scorer, plan.confidence)


def _from_boxed_frames(
    inputs: LabelInputs,
    segmenter: Segmenter,
    embedder: Embedder,
    prompts: Sequence[str],
    confidence: float,
    *,
    seed: int,
    progress: Progress,
) -> FrameLabeler:
    """Train prompters, classifier, calibration and box regression on the exemplar frames."""
    exemplars, classes = inputs.exemplars, len(inputs.exemplars.names)
    steps = TRAINING_STEPS * prompts.count(SimilarPrompter.name)
    with (progress if steps else no_progress)(steps, "Learning") as advance:
        frames = segment_exemplars(exemplars, segmenter)
        prompters = open_prompters(
            prompts, frames, classes, inputs.background, inputs.detector, seed=seed, advance=advance
        )
        if any(isinstance(prompter, SimilarPrompter) and prompter.any_way for prompter in prompters):
            rng, times = np.random.default_rng(seed), _HELD_OUT_PICTURES // len(frames) - 1
            frames += [paste_objects(frame, rng) for frame in frames for _ in range(times)]
        held_out = predict_held_out(frames, prompters, segmenter)
        classifier, probabilities = _learn_classes(classes, held_out, embedder, seed=seed)
        regressor, unseen = fit_box_regressors(exemplars.frames, seed=seed)
    boxes = [refine_boxes(unseen[one.frame.number], one.frame.image, one.found) for one in held_out]
    scorer = ExemplarScorer(classifier, fit_calibrator(held_out, probabilities, boxes))
    return FrameLabeler(prompters, segmenter, scorer, confidence, regressor)


def _learn_classes(
    classes: int, held_out: Sequence[HeldOutFrame], embedder: Embedder, *, seed: int
) -> tuple[ClassModel, list[NDArray[np.float32]]]:
    """Fit to the exemplars and what the prompters found; also classify what was found on held-out frames."""
    examples = {
        one: ClassExamples(
            one.frame.image,
            one.frame.xyxy,
            one.frame.class_id,
            one.frame.masks,
            np.array([candidate.xyxy for candidate in one.found], np.float32).reshape(-1, 4),
        )
        for one in held_out
    }

    def without(number: int | None) -> ClassModel:
        others = [own for one, own in examples.items() if one.frame.number != number]
        return learn_classes(classes, others or list(examples.values()), embedder, seed=seed)

    models = {number: without(number) for number in {one.frame.number for one in held_out}}
    unseen = [models[one.frame.number].probabilities(one.frame.image, one.found) for one in held_out]
    return without(None), unseen


def _learn_from_crops(
    exemplars: Exemplars,
    paths: Sequence[Path],
    background: Background,
    segmenter: Segmenter,
    embedder: Embedder,
    *,
    seed: int,
) -> ClassModel:
    chosen = np.unique(np.linspace(0, len(paths) - 1, _BACKGROUND_FRAMES).round().astype(int))
    frames = [image for row in chosen if (image := read_image(paths[row])) is not None]
    if not frames:
        raise DataError(f"{paths[0].parent}: not one of {len(chosen)} frames looked at can be read")
    return learn_classes_from_crops(exemplars, frames, background, segmenter, embedder, seed=seed)
