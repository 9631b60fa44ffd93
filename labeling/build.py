"""Models of a labeling job: learned once, opened by every worker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, Self

import numpy as np
from sklearn.pipeline import Pipeline

from edgeloop.edge.host.opencv import read_image
from edgeloop.labeling.engine.engine import LearnedEngine, learn_engine
from edgeloop.labeling.features.clip import Clip, TextClassifier
from edgeloop.labeling.features.embedders import load_embedder, reads_text, weights_file, with_weights_file
from edgeloop.labeling.features.embedding import Embedder
from edgeloop.labeling.inputs.exemplars import Exemplars
from edgeloop.labeling.inputs.load import LabelInputs
from edgeloop.labeling.inputs.plan import LITE0, LabelPlan
from edgeloop.labeling.labeler import DetectorLabeler, FrameLabeler, MotionLabeler
from edgeloop.labeling.motion.background import Background
from edgeloop.labeling.sam import Device, Segmenter, load, model_files
from edgeloop.labeling.scoring.classifier import ClassModel
from edgeloop.labeling.scoring.crop_classes import learn_classes_from_crops
from edgeloop.labeling.scoring.scorers import CropScorer, MotionScorer, Scorer
from edgeloop.labeling.step_progress import Progress
from edgeloop.models.errors import DataError

__all__ = ["DetectorModels", "LabelingModels", "MotionModels", "learn_models"]

_BACKGROUND_FRAMES = 15  # frames from which crops get their background examples
# Frames that go through SAM's encoder together, to keep a GPU busy. Each takes about 2.5 GB (vit_b) to 3.3 GB
# (vit_l, vit_h) of its memory meanwhile, in fp32; a batch that does not fit is labeled frame by frame.
_GPU_BATCH = 4
_GRAPH, _SAM, _CLASSIFIER = "ensemble.onnx", "sam", "classifier"  # names of files that are sent to workers


class LabelingModels(Protocol):
    """Models of a job; they pickle, without the contents of `files`."""

    @property
    def segmenter(self) -> SegmenterChoice:
        """Segmenter that draws the masks, on the processor that all models run on."""
        ...

    @property
    def files(self) -> Mapping[str, Path]:
        """Files that `open` needs, by a relative path."""
        ...

    @property
    def batch(self) -> int:
        """Number of frames to label together."""
        ...

    @property
    def threads(self) -> bool:
        """True if threads may share them; see `FrameJob.threads`."""
        ...

    def open(self, files: Mapping[str, Path]) -> FrameLabeler:
        """Load the models from copies of `files`."""
        ...


@dataclass(frozen=True, slots=True)
class SegmenterChoice:
    """Segmenter as the user named it.

    Attributes:
        name: As of `LabelPlan.sam`.
        device: Processor to run on.
        files: See `LabelingModels.files`; none for a segmenter that ships.
    """

    name: str
    device: Device
    files: Mapping[str, Path]

    @classmethod
    def of(cls, plan: LabelPlan) -> Self:
        """Find the files of a plan's segmenter."""
        paths = model_files(plan.sam, offline=plan.offline)
        return cls(plan.sam, plan.device, {f"{_SAM}/{path.name}": path for path in paths})

    @property
    def threads(self) -> bool:
        """See `LabelingModels.threads`: True for the one that ships, on the CPU."""
        return self.device == "cpu" and not self.files

    def open(self, files: Mapping[str, Path]) -> Segmenter:
        """Load the segmenter from copies of its files."""
        copies = [files[name] for name in self.files]
        return load(str(copies[0]) if copies else self.name, device=self.device, offline=True)


@dataclass(frozen=True, slots=True)
class DetectorModels:
    """See `LabelingModels`: the engine, which learned from boxed frames.

    Attributes:
        engine: Finds objects.
        segmenter: Draws their masks.
        confidence: Minimum label score, in [0, 1].
        least: As of `DetectorLabeler`.
    """

    engine: LearnedEngine
    segmenter: SegmenterChoice
    confidence: float
    least: float | None = field(default=None, kw_only=True)

    @property
    def files(self) -> Mapping[str, Path]:
        """See `LabelingModels.files`."""
        return {_GRAPH: self.engine.graph, **self.segmenter.files}

    @property
    def batch(self) -> int:
        """See `LabelingModels.batch`: 1 on the CPU, where labels are then the same to the byte.

        A batch has not been run on a GPU yet.
        """
        return _GPU_BATCH if self.segmenter.device == "cuda" else 1

    @property
    def threads(self) -> bool:
        """See `LabelingModels.threads`."""
        return self.segmenter.threads

    def open(self, files: Mapping[str, Path]) -> DetectorLabeler:
        """See `LabelingModels.open`."""
        engine = self.engine.open(self.segmenter.device, files[_GRAPH])
        return DetectorLabeler(engine, self.segmenter.open(files), self.confidence, self.least)


@dataclass(frozen=True, slots=True)
class MotionModels:
    """See `LabelingModels`: the background of a fixed camera, and what tells classes apart.

    Attributes:
        background: Background model.
        names: Classes to label.
        classifier: As of `LabelPlan.classifier`.
        weights: File of its weights; None if it ships or is named by a tag.
        regression: Classifier that learned from crops; None without crops.
        segmenter: Draws the masks.
        confidence: Minimum label score, in [0, 1].
        offline: Never download a classifier that is named by a tag.
    """

    background: Background
    names: tuple[str, ...]
    classifier: str
    weights: Path | None
    regression: Pipeline | None
    segmenter: SegmenterChoice
    confidence: float
    offline: bool

    @property
    def files(self) -> Mapping[str, Path]:
        """See `LabelingModels.files`."""
        own = {} if self.weights is None else {f"{_CLASSIFIER}/{self.weights.name}": self.weights}
        return {**own, **self.segmenter.files}

    @property
    def batch(self) -> int:
        """See `LabelingModels.batch`: 1, as `Background` remembers its comparison of one frame."""
        return 1

    @property
    def threads(self) -> bool:
        """See `LabelingModels.threads`."""
        return self.segmenter.threads and self.classifier == LITE0

    def open(self, files: Mapping[str, Path]) -> MotionLabeler:
        """See `LabelingModels.open`."""
        name = self.classifier
        if self.weights is not None:
            name = with_weights_file(name, files[f"{_CLASSIFIER}/{self.weights.name}"])
        looks = self.regression is not None or reads_text(name)
        embedder = load_embedder(name, offline=self.offline) if looks else None
        motion = MotionScorer(self.background)
        scorer: Scorer = motion
        if embedder is not None and self.regression is not None:
            scorer = CropScorer(ClassModel(self.regression, len(self.names), embedder), motion)
        elif isinstance(embedder, Clip):
            scorer = CropScorer(TextClassifier(embedder, self.names), motion)
        return MotionLabeler(self.background, self.segmenter.open(files), scorer, self.confidence)


def learn_models(
    plan: LabelPlan, inputs: LabelInputs, frames: Sequence[Path], folder: Path, progress: Progress
) -> LabelingModels:
    """Learn from the exemplars of a job, once.

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
    choice = SegmenterChoice.of(plan)
    exemplars, background = inputs.exemplars, inputs.background
    if background is None:
        engine = learn_engine(
            exemplars, segmenter, folder, confidence=inputs.confidence, weights=plan.weights,
            device=plan.device, seed=plan.seed, progress=progress,
        )  # fmt: skip
        return DetectorModels(engine, choice, inputs.confidence)
    regression = None
    if exemplars.crops:
        embedder = load_embedder(plan.classifier, offline=plan.offline)
        regression = _learn_from_crops(exemplars, frames, background, segmenter, embedder, seed=plan.seed)
    return MotionModels(
        background=background,
        names=exemplars.names,
        classifier=plan.classifier,
        weights=weights_file(plan.classifier),
        regression=regression,
        segmenter=choice,
        confidence=inputs.confidence,
        offline=plan.offline,
    )


def _learn_from_crops(
    exemplars: Exemplars,
    paths: Sequence[Path],
    background: Background,
    segmenter: Segmenter,
    embedder: Embedder,
    *,
    seed: int,
) -> Pipeline:
    chosen = np.unique(np.linspace(0, len(paths) - 1, _BACKGROUND_FRAMES).round().astype(int))
    frames = [image for row in chosen if (image := read_image(paths[row])) is not None]
    if not frames:
        raise DataError(f"{paths[0].parent}: not one of {len(chosen)} frames looked at can be read")
    return learn_classes_from_crops(exemplars, frames, background, segmenter, embedder, seed=seed).regression
