"""Builders of the frame labeler, one for each kind of exemplars."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edgeloop.edge.host.opencv import read_image
from edgeloop.labeling.engine.engine import learn_engine
from edgeloop.labeling.features.clip import Clip, TextClassifier
from edgeloop.labeling.features.embedders import load_embedder
from edgeloop.labeling.features.embedding import Embedder
from edgeloop.labeling.inputs.exemplars import Exemplars
from edgeloop.labeling.inputs.load import LabelInputs
from edgeloop.labeling.inputs.plan import LabelPlan
from edgeloop.labeling.labeler import DetectorLabeler, FrameLabeler, MotionLabeler
from edgeloop.labeling.motion.background import Background
from edgeloop.labeling.sam import Segmenter, load
from edgeloop.labeling.scoring.classifier import ClassModel
from edgeloop.labeling.scoring.crop_classes import learn_classes_from_crops
from edgeloop.labeling.scoring.scorers import CropScorer, MotionScorer, Scorer
from edgeloop.labeling.step_progress import Progress
from edgeloop.models.errors import DataError

__all__ = ["build_labeler"]

_BACKGROUND_FRAMES = 15  # frames from which crops get their background examples


def build_labeler(
    plan: LabelPlan, inputs: LabelInputs, frames: Sequence[Path], folder: Path, progress: Progress
) -> FrameLabeler:
    """Load the models of a job, and learn from its exemplars.

    Args:
        plan: Settings of the job.
        inputs: Exemplars and background model.
        frames: Images of all frames.
        folder: Keeps what was learned, so that an interrupted job does not learn it again.
        progress: Shows the steps.

    Raises:
        DataError: No frame that is needed for background examples can be read.
        UsageError: There is no such segmenter or classifier.
        UnavailableError: A checkpoint is not in the cache and cannot be downloaded, a package is missing, or
            there is no such device.
    """
    segmenter = load(plan.sam, offline=plan.offline, progress=progress, device=plan.device)
    exemplars, background = inputs.exemplars, inputs.background
    if background is None:
        engine = learn_engine(
            exemplars, segmenter, folder, confidence=inputs.confidence, weights=plan.weights,
            device=plan.device, seed=plan.seed, progress=progress,
        )  # fmt: skip
        return DetectorLabeler(engine, segmenter, inputs.confidence)
    motion = MotionScorer(background)
    scorer: Scorer = motion
    embedder = load_embedder(plan.classifier, offline=plan.offline)
    if exemplars.crops:
        classes = _learn_from_crops(exemplars, frames, background, segmenter, embedder, seed=plan.seed)
        scorer = CropScorer(classes, motion)
    elif isinstance(embedder, Clip):
        scorer = CropScorer(TextClassifier(embedder, exemplars.names), motion)
    return MotionLabeler(background, segmenter, scorer, inputs.confidence)


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
