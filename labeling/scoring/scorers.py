"""Scorers of what moves: by motion alone, or also by appearance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edgeloop.labeling.candidates.candidate import Candidate, mask_trust
from edgeloop.labeling.candidates.mask import CroppedMask
from edgeloop.labeling.motion.background import Background

__all__ = ["Classifier", "CropScorer", "MotionScorer", "Scorer"]


class Classifier(Protocol):
    """Classifies candidates by their appearance."""

    def probabilities(self, image: NDArray[np.uint8], candidates: Sequence[Candidate]) -> NDArray[np.float32]:
        """Classify the candidates in an image, HxWx3 uint8 BGR.

        Returns:
            float32 (N, classes) in [0, 1]; what a row lacks to 1 is the probability of none of them.
        """
        ...


class Scorer(Protocol):
    """Scores candidates for each class to label."""

    def scores(self, image: NDArray[np.uint8], candidates: Sequence[Candidate]) -> NDArray[np.float32]:
        """Score candidates in an image, HxWx3 uint8 BGR, at least one: float32 (N, classes) in [0, 1]."""
        ...


@dataclass(frozen=True, slots=True)
class MotionScorer:
    """Scores one class: confidence in the mask times the share of it that is foreground."""

    background: Background

    def scores(self, image: NDArray[np.uint8], candidates: Sequence[Candidate]) -> NDArray[np.float32]:
        """See `Scorer.scores`."""
        changed = self.background.compare(image).mask
        scores = [mask_trust(own.sam_score) * _changed_share(own, changed) for own in candidates]
        return np.array(scores, np.float32).reshape(-1, 1)


@dataclass(frozen=True, slots=True)
class CropScorer:
    """Scores moving objects by appearance and motion: the geometric mean of both scores."""

    classes: Classifier
    motion: MotionScorer

    def scores(self, image: NDArray[np.uint8], candidates: Sequence[Candidate]) -> NDArray[np.float32]:
        """See `Scorer.scores`."""
        looks = self.classes.probabilities(image, candidates)
        return np.asarray(np.sqrt(looks * self.motion.scores(image, candidates)), np.float32)


def _changed_share(candidate: Candidate, changed: NDArray[np.bool_]) -> float:
    cropped = candidate.mask if candidate.mask_agrees else None
    area = CroppedMask.from_box(candidate.xyxy) if cropped is None else cropped
    window = changed[area.top : area.bottom, area.left : area.right]
    return float(window[area.bits].mean()) if area.bits.any() else 0.0
