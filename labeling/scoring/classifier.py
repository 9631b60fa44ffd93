"""Classifier of candidates by their appearance, with a background class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from edgeloop.labeling.candidates.candidate import Candidate
from edgeloop.labeling.candidates.mask import CroppedMask
from edgeloop.labeling.features.embedding import Embedder
from edgeloop.models.boxes import clip_boxes, iou_matrix

__all__ = ["NO_BOXES", "ClassExamples", "ClassModel", "fit_classes"]

# Inverse regularization. It is strong because the gray around a crop tells it from any background.
_STRENGTH = 0.01
_FOREIGN_IOU = 0.3  # a box that overlaps no exemplar more than this shows something else

NO_BOXES = np.empty((0, 4), np.float32)


class ClassExamples(NamedTuple):
    """Examples in one image.

    Attributes:
        image: HxWx3 uint8 BGR.
        xyxy: float32 (N, 4), all objects of interest, pixels of the image.
        class_id: int64 (N,); -1 for objects that must not be labeled.
        masks: Mask of each object, None if there is none; empty for no masks at all.
        background: float32 (M, 4), boxes to learn as background, such as false positives; those that overlap
            an object are left out.
    """

    image: NDArray[np.uint8]
    xyxy: NDArray[np.float32]
    class_id: NDArray[np.int64]
    masks: Sequence[CroppedMask | None] = ()
    background: NDArray[np.float32] = NO_BOXES


class ClassModel:
    """Multinomial logistic regression on embeddings: the classes to label, `_ignore` and background.

    Attributes:
        regression: Classifier of embeddings.
    """

    def __init__(self, regression: Pipeline, classes: int, embedder: Embedder) -> None:
        """Keep a regression fitted to embeddings; its classes 0 to `classes` - 1 are those to label."""
        self.regression = regression
        self._classes = classes
        self._embedder = embedder

    def probabilities(self, image: NDArray[np.uint8], candidates: Sequence[Candidate]) -> NDArray[np.float32]:
        """See `Classifier.probabilities`."""
        probabilities = np.zeros((len(candidates), self._classes), np.float32)
        if candidates:
            rows = self.regression.predict_proba(self._embedder.embed(image, candidates))
            known = self.regression.classes_ < self._classes
            probabilities[:, self.regression.classes_[known]] = rows[:, known]
        return probabilities


def fit_classes(
    classes: int,
    frames: Sequence[ClassExamples],
    embedder: Embedder,
    rng: np.random.Generator,
) -> ClassModel:
    """Fit to the background and to each object as drawn and as roughly as SAM would."""
    embeddings, class_id = [], []
    for image, xyxy, drawn_id, masks, background in frames:
        shaken = xyxy + np.tile(xyxy[:, 2:] - xyxy[:, :2], 2) * rng.normal(0, 0.06, xyxy.shape)
        rough = clip_boxes(shaken.astype(np.float32), image.shape[1], image.shape[0])
        foreign = background[iou_matrix(background, xyxy).max(axis=1, initial=0) < _FOREIGN_IOU]
        drawn = [_candidate(*own) for own in zip(xyxy, masks or [None] * len(xyxy), strict=True)]
        embeddings.append(embedder.embed(image, drawn + [_candidate(box) for box in (*rough, *foreign)]))
        shown = np.where(drawn_id < 0, classes, drawn_id)
        class_id.append(np.concatenate((shown, shown, np.full(len(foreign), classes + 1))))
    regression = LogisticRegression(C=_STRENGTH, class_weight="balanced", max_iter=500)
    fitted = make_pipeline(StandardScaler(), regression).fit(
        np.concatenate(embeddings), np.concatenate(class_id)
    )
    return ClassModel(fitted, classes, embedder)


def _candidate(box: NDArray[np.float32], mask: CroppedMask | None = None) -> Candidate:
    return Candidate(box, mask, mask is not None, 0.0, "exemplar")
