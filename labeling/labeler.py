"""Labeling of frames: detect or find what moves, segment, score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as rle

from edgeloop.labeling.candidates.candidate import Candidate
from edgeloop.labeling.candidates.dedupe import deduplicate
from edgeloop.labeling.candidates.find import find_candidates, find_in_frames
from edgeloop.labeling.candidates.mask import CroppedMask
from edgeloop.labeling.candidates.prompts import Prompts
from edgeloop.labeling.engine.engine import Engine
from edgeloop.labeling.inputs.exemplars import ExemplarFrame
from edgeloop.labeling.ledger import Label
from edgeloop.labeling.motion.background import Background
from edgeloop.labeling.motion.motion_prompts import motion_prompts
from edgeloop.labeling.sam import Segmenter
from edgeloop.labeling.scoring.scorers import Scorer
from edgeloop.models.detections import Detections

__all__ = [
    "UNSURE_SHARE",
    "DetectorLabeler",
    "FrameLabeler",
    "FrameLabels",
    "MotionLabeler",
    "label_exemplar",
]

_MIN_MARGIN = 0.1  # between the best class and the next; below, the class is unsure
_MIN_MASK_SCORE = 0.2  # label score below which no mask is drawn

UNSURE_SHARE = 0.5
"""Share of the minimum score from which on a candidate is worth a person's look."""

FrameLabels = tuple[list[Label], list[Label]]
"""Labels of a frame to train on, and unsure ones, each by descending score."""


class FrameLabeler(Protocol):
    """Labels frames: each depends on itself alone, apart from rounding by `Segmenter.encode`."""

    @property
    def segmenter(self) -> Segmenter:
        """Draws the masks."""
        ...

    def problem(self, image: NDArray[np.uint8]) -> str | None:
        """Give the reason why a frame, HxWx3 uint8 BGR, cannot be labeled; None if it can."""
        ...

    def label(self, images: Sequence[NDArray[np.uint8]]) -> list[FrameLabels]:
        """Label frames, HxWx3 uint8 BGR."""
        ...


@dataclass(frozen=True, slots=True)
class DetectorLabeler:
    """Labels what the engine detects, with masks from SAM.

    Attributes:
        engine: Finds, names and scores objects.
        segmenter: Draws the masks.
        confidence: Minimum label score, in [0, 1].
        least: Minimum score of an unsure label; None for half of `confidence`.
    """

    engine: Engine
    segmenter: Segmenter
    confidence: float
    least: float | None = None

    def problem(self, image: NDArray[np.uint8]) -> str | None:
        """See `FrameLabeler.problem`: any frame can be labeled."""
        del image
        return None

    def label(self, images: Sequence[NDArray[np.uint8]]) -> list[FrameLabels]:
        """See `FrameLabeler.label`; the frames on which there are masks to draw are encoded together."""
        detected = [self._detect(image) for image in images]
        prompts = [[Prompts("detector", found.xyxy[self._masked(found)])] for found in detected]
        segmented = find_in_frames(images, prompts, self.segmenter)
        return [self._label(*frame) for frame in zip(images, detected, segmented, strict=True)]

    def _detect(self, image: NDArray[np.uint8]) -> Detections:
        found = self.engine.detect(image)
        least = UNSURE_SHARE * self.confidence if self.least is None else self.least
        return found[found.confidence >= least]

    def _masked(self, found: Detections) -> NDArray[np.bool_]:
        return found.confidence >= max(self.confidence, _MIN_MASK_SCORE)

    def _label(
        self, image: NDArray[np.uint8], found: Detections, candidates: Sequence[Candidate]
    ) -> FrameLabels:
        sure, masked = found.confidence >= self.confidence, self._masked(found)
        segmented = iter(candidates)
        labels: FrameLabels = [], []
        for row, box in enumerate(found.xyxy):
            candidate = next(segmented) if masked[row] else Candidate(box, None, False, 0.0, "detector")
            own = replace(candidate, xyxy=box + np.float32(self.engine.mask_weight) * (candidate.xyxy - box))
            label = _label(own, int(found.class_id[row]), float(found.confidence[row]), image)
            labels[0 if sure[row] else 1].append(label)
        return labels


@dataclass(frozen=True, slots=True)
class MotionLabeler:
    """Labels what moves in front of a fixed camera, as SAM segments it.

    Attributes:
        background: Background model of the camera.
        segmenter: Draws the masks.
        scorer: Scores candidates for each class.
        confidence: Minimum label score, in [0, 1].
    """

    background: Background
    segmenter: Segmenter
    scorer: Scorer
    confidence: float

    def problem(self, image: NDArray[np.uint8]) -> str | None:
        """See `FrameLabeler.problem`: a frame that changed as a whole does not tell what moves."""
        return self.background.compare(image).problem

    def label(self, images: Sequence[NDArray[np.uint8]]) -> list[FrameLabels]:
        """See `FrameLabeler.label`."""
        return [self._label(image) for image in images]

    def _label(self, image: NDArray[np.uint8]) -> FrameLabels:
        candidates = find_candidates(image, motion_prompts(image, self.background), self.segmenter)
        if not candidates:
            return [], []
        scores = self.scorer.scores(image, candidates)
        best, class_id = scores.max(axis=1), scores.argmax(axis=1)
        margin = best - np.sort(scores, axis=1)[:, -2] if scores.shape[1] > 1 else best
        labels: FrameLabels = [], []
        for row in deduplicate(candidates, best, class_id):
            if best[row] >= UNSURE_SHARE * self.confidence:
                sure = best[row] >= self.confidence and margin[row] >= _MIN_MARGIN
                label = _label(candidates[row], int(class_id[row]), float(best[row]), image)
                labels[0 if sure else 1].append(label)
        return labels


def label_exemplar(image: NDArray[np.uint8], exemplar: ExemplarFrame, segmenter: Segmenter) -> list[Label]:
    """Turn a person's boxes on a frame, HxWx3 uint8 BGR, into one label for each of a class to label.

    Boxes and masks stay as drawn, SAM adds those that are missing.
    """
    named = np.flatnonzero(exemplar.class_id >= 0).tolist()
    boxes = exemplar.xyxy[[row for row in named if row not in exemplar.masks]]
    found = iter(find_candidates(image, [Prompts("human", boxes)], segmenter))
    labels = []
    for row in named:
        box, counts = exemplar.xyxy[row], exemplar.masks.get(row)
        candidate = Candidate(box, None, False, 0.0, "human") if counts else replace(next(found), xyxy=box)
        label = _label(candidate, int(exemplar.class_id[row]), 1.0, image)
        labels.append(label.model_copy(update={"counts": counts, "mask_from": "human"}) if counts else label)
    return labels


def _label(candidate: Candidate, class_id: int, score: float, image: NDArray[np.uint8]) -> Label:
    x1, y1, x2, y2 = (round(side, 2) for side in candidate.xyxy.tolist())
    cropped = candidate.mask if candidate.mask_agrees else None
    return Label(
        xyxy=(x1, y1, x2, y2),
        class_id=class_id,
        score=round(score, 4),
        counts=None if cropped is None else _run_lengths(cropped, image.shape[:2]),
        prompt=candidate.source,
        sam_score=round(candidate.sam_score, 4),
    )


def _run_lengths(cropped: CroppedMask, size: tuple[int, ...]) -> str:
    mask = np.zeros(size, np.uint8, order="F")
    mask[cropped.top : cropped.bottom, cropped.left : cropped.right] = cropped.bits
    counts: bytes = rle.encode(mask)["counts"]
    return counts.decode("ascii")
