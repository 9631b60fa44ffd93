"""Classifier of candidates by their appearance, with a background class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from edgeloop.labeling.candidates.candidate import Candidate
from edgeloop.labeling.candidates.find import find_candidates
from edgeloop.labeling.candidates.mask import CroppedMask
from edgeloop.labeling.candidates.prompts import Prompts
from edgeloop.labeling.features.embedding import Embedder, embed
from edgeloop.labeling.inputs.exemplars import Exemplars
from edgeloop.labeling.motion.background import Background
from edgeloop.labeling.sam import Segmenter
from edgeloop.labeling.scoring.held_out import HeldOutFrame
from edgeloop.models.boxes import clip_boxes, iou_matrix

__all__ = ["ClassModel", "learn_classes", "learn_classes_from_crops"]

_STRENGTHS = (1e-3, 1e-2, 1e-1)  # inverse regularization, from which cross-validation chooses
_BACKGROUNDS_PER_FRAME = 40
_CROP_MARGIN = 0.3  # of its longer side
_VIEWS_OF_CROP = 3
_MOST_CHANGED = 0.03  # of a place where nothing is
_FOLDS = 5  # of the crops, one left out at a time
_LEAST_PROBABILITY = 1e-3
_FOREIGN_IOU = 0.3  # a box that overlaps no exemplar more than this shows something else


@dataclass(frozen=True, slots=True, eq=False)
class _Examples:
    """Embeddings (N, D) and the class of each: those to label, then `_ignore`, then background."""

    embeddings: NDArray[np.float32]
    class_id: NDArray[np.int64]


class ClassModel:
    """Multinomial logistic regression on embeddings: the exemplars' classes, `_ignore` and background.

    Its regularization is chosen by the log loss on exemplar frames that were left out, so that its
    probabilities mean what they say on frames it has not seen.
    """

    def __init__(self, classifier: Pipeline, classes: int, embedder: Embedder = embed) -> None:
        """Keep a fitted classifier.

        Args:
            classifier: Fitted; its classes 0 to `classes` - 1 are those to label.
            classes: Number of classes to label.
            embedder: The embedding that it was fitted to.
        """
        self._classifier = classifier
        self._classes = classes
        self._embed = embedder

    def probabilities(self, image: NDArray[np.uint8], candidates: Sequence[Candidate]) -> NDArray[np.float32]:
        """See `Classifier.probabilities`."""
        if not candidates:
            return np.empty((0, self._classes), np.float32)
        rows = self._classifier.predict_proba(self._embed(image, candidates))
        probabilities = np.zeros((len(candidates), self._classes), np.float32)
        for column, class_id in enumerate(self._classifier.classes_):
            if class_id < self._classes:
                probabilities[:, class_id] = rows[:, column]
        return probabilities


def learn_classes(
    classes: int, held_out: Sequence[HeldOutFrame], *, embedder: Embedder = embed, seed: int = 0
) -> tuple[ClassModel, list[NDArray[np.float32]]]:
    """Fit to the exemplars, the background around them and false positives of the prompters.

    Args:
        classes: Number of classes to label.
        held_out: The person's boxes, and what the prompters found beside them: what matches none of them is
            background.
        embedder: Describes what candidates look like.
        seed: Random seed.

    Returns:
        The model, and for each held-out frame the probabilities (N, classes) of its candidates, by a model
        that was not fitted to it; by the same model if there is only one frame.
    """
    rng = np.random.default_rng(seed)
    of_frames: dict[int, list[_Examples]] = {}
    for one in held_out:
        examples = _examples(one, classes, embedder, rng)
        of_frames.setdefault(one.frame.number, []).append(examples)
    strength, without_one = _best_strength([_joined(own) for own in of_frames.values()])
    unaware = dict(zip(of_frames, without_one, strict=True))
    unseen = [
        ClassModel(unaware[one.frame.number], classes, embedder).probabilities(one.frame.image, one.found)
        for one in held_out
    ]
    everything = [part for own in of_frames.values() for part in own]
    return ClassModel(_fitted(everything, strength), classes, embedder), unseen


def _examples(one: HeldOutFrame, classes: int, embedder: Embedder, rng: np.random.Generator) -> _Examples:
    """Objects as drawn, mirrored, and roughly boxed; and what is none."""
    image, boxes = one.frame.image, one.frame.xyxy
    drawn = [_exemplar(*own) for own in zip(boxes, one.frame.masks, strict=True)]
    mirrored = [_mirrored(candidate, image.shape[1]) for candidate in drawn]
    rough = [_maskless(box) for box in _shaken(boxes, image, rng)]
    others = [candidate for candidate in one.found if _foreign(candidate.xyxy, boxes)]
    others += [_maskless(box) for box in _backgrounds(boxes, image, rng)]
    embeddings = (
        embedder(image, drawn),
        embedder(np.ascontiguousarray(image[:, ::-1]), mirrored),
        embedder(image, [*rough, *others]),
    )
    shown = np.where(one.frame.class_id < 0, classes, one.frame.class_id)
    class_id = np.concatenate((np.tile(shown, 3), np.full(len(others), classes + 1)))
    return _Examples(np.concatenate(embeddings), class_id)


def learn_classes_from_crops(
    exemplars: Exemplars,
    frames: Sequence[NDArray[np.uint8]],
    background: Background,
    segmenter: Segmenter,
    *,
    embedder: Embedder = embed,
    seed: int = 0,
) -> ClassModel:
    """Fit to crops, and to background places in the frames.

    Args:
        exemplars: With crops.
        frames: HxWx3 uint8 BGR, some of those to label, at least one.
        background: Tells where nothing is; with places anywhere, objects among them, mAP50 on a conveyor was
            0.45 instead of 0.75.
        segmenter: Draws the masks of the crops.
        embedder: Describes what candidates look like.
        seed: Random seed.
    """
    rng = np.random.default_rng(seed)
    folds = min(_FOLDS, len(exemplars.crops), len(frames))
    examples = []
    for fold in range(folds):
        crops = exemplars.crops[fold::folds]
        images = [crop.image() for crop in crops]
        sizes = np.array([(image.shape[1], image.shape[0]) for image in images])
        shown = [rows for image in images for rows in _crop_views(image, segmenter, embedder, rng)]
        empty = [
            embedder(frame, _empty_places(frame, background, sizes, rng)) for frame in frames[fold::folds]
        ]
        drawn = [len(exemplars.names) if crop.class_id < 0 else crop.class_id for crop in crops]
        none = np.full(sum(map(len, empty)), len(exemplars.names) + 1)
        class_id = np.concatenate((np.repeat(drawn, _VIEWS_OF_CROP), none))
        examples.append(_Examples(np.concatenate([*shown, *empty]), class_id))
    strength, _ = _best_strength(examples)
    return ClassModel(_fitted(examples, strength), len(exemplars.names), embedder)


def _crop_views(
    crop: NDArray[np.uint8], segmenter: Segmenter, embedder: Embedder, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Embeddings of a crop as SAM sees it and roughly boxed, and mirrored: `_VIEWS_OF_CROP` rows."""
    image, box = _with_surroundings(crop)
    (seen,) = find_candidates(image, [Prompts("exemplar", box[None])], segmenter)
    rough = [_maskless(side) for side in _shaken(box[None], image, rng)]
    mirrored = [_mirrored(seen, image.shape[1])]
    return embedder(image, [seen, *rough]), embedder(np.ascontiguousarray(image[:, ::-1]), mirrored)


def _empty_places(
    frame: NDArray[np.uint8],
    background: Background,
    sizes: NDArray[np.int64],
    rng: np.random.Generator,
) -> list[Candidate]:
    """Boxes of the crops' sizes on what is background."""
    room = np.array([frame.shape[1], frame.shape[0]])
    sides = np.minimum(rng.choice(sizes, 4 * _BACKGROUNDS_PER_FRAME), room)
    corner = np.floor(rng.uniform(0, 1, sides.shape) * (room - sides + 1)).astype(int)
    change = background.compare(frame)
    if change.problem is not None:
        return []
    places = [
        _maskless(np.array([x, y, x + w, y + h], np.float32))
        for (x, y), (w, h) in zip(corner.tolist(), sides.tolist(), strict=True)
        if change.mask[y : y + h, x : x + w].mean() < _MOST_CHANGED
    ]
    return places[:_BACKGROUNDS_PER_FRAME]


def _with_surroundings(image: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """A crop on gray, for SAM to see where the object ends; and its box there."""
    height, width = image.shape[:2]
    margin = round(_CROP_MARGIN * max(height, width))
    wide = cv2.copyMakeBorder(image, *[margin] * 4, cv2.BORDER_CONSTANT, value=(127, 127, 127))
    return np.asarray(wide, np.uint8), np.array([0, 0, width, height], np.float32) + margin


def _maskless(box: NDArray[np.float32]) -> Candidate:
    return _exemplar(box, None)


def _exemplar(box: NDArray[np.float32], cropped: CroppedMask | None) -> Candidate:
    return Candidate(box, cropped, cropped is not None, 0.0, None, "exemplar")


def _mirrored(candidate: Candidate, width: int) -> Candidate:
    x1, y1, x2, y2 = candidate.xyxy.tolist()
    box = np.array([width - x2, y1, width - x1, y2], np.float32)
    if candidate.mask is None or not candidate.mask_agrees:
        return _maskless(box)
    left = width - candidate.mask.right
    return _exemplar(box, CroppedMask(left, candidate.mask.top, candidate.mask.bits[:, ::-1]))


def _shaken(
    xyxy: NDArray[np.float32], image: NDArray[np.uint8], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Boxes as a prompter would draw them: each side off by some percent."""
    sides = np.tile(xyxy[:, 2:] - xyxy[:, :2], 2)
    moved = xyxy + sides * rng.normal(0, 0.06, xyxy.shape)
    return clip_boxes(moved.astype(np.float32), image.shape[1], image.shape[0])


def _backgrounds(
    xyxy: NDArray[np.float32], image: NDArray[np.uint8], rng: np.random.Generator
) -> list[NDArray[np.float32]]:
    """Boxes of the exemplars' sizes on something else: half of them anywhere, half beside an object."""
    height, width = image.shape[:2]
    if not len(xyxy):
        return []
    found: list[NDArray[np.float32]] = []
    for _ in range(4 * _BACKGROUNDS_PER_FRAME):
        near = xyxy[rng.integers(len(xyxy))]
        sides = (near[2:] - near[:2]) * rng.uniform(0.7, 1.4)
        if rng.random() < 0.5:
            corner = near[:2] + (near[2:] - near[:2]) * rng.uniform(-1, 1, 2)
        else:
            corner = rng.uniform(0, 1, 2) * np.maximum((width, height) - sides, 0)
        box = clip_boxes(np.concatenate((corner, corner + sides)).astype(np.float32)[None], width, height)[0]
        if (box[2:] - box[:2]).min() >= 2 and _foreign(box, xyxy):
            found.append(box)
        if len(found) == _BACKGROUNDS_PER_FRAME:
            break
    return found


def _foreign(box: NDArray[np.float32], xyxy: NDArray[np.float32]) -> bool:
    return float(iou_matrix(box[None], xyxy).max(initial=0)) < _FOREIGN_IOU


def _joined(parts: Sequence[_Examples]) -> _Examples:
    return _Examples(
        np.concatenate([part.embeddings for part in parts]), np.concatenate([part.class_id for part in parts])
    )


def _fitted(examples: Sequence[_Examples], strength: float) -> Pipeline:
    classifier = make_pipeline(
        StandardScaler(), LogisticRegression(C=strength, class_weight="balanced", max_iter=500)
    )
    joined = _joined(examples)
    return classifier.fit(joined.embeddings, joined.class_id)


def _best_strength(examples: Sequence[_Examples]) -> tuple[float, list[Pipeline]]:
    """Choose the regularization by the log loss on held-out frames.

    With it come the classifiers that chose it, each fitted without one frame; of one frame, one that saw it.
    """
    if len(examples) < 2:
        return _STRENGTHS[1], [_fitted(examples, _STRENGTHS[1])]
    parts = [[*examples[:number], *examples[number + 1 :]] for number in range(len(examples))]
    fitted = [[_fitted(others, strength) for others in parts] for strength in _STRENGTHS]
    losses = [sum(map(_loss, classifiers, examples)) for classifiers in fitted]
    best = int(np.argmin(losses))
    return _STRENGTHS[best], fitted[best]


def _loss(classifier: Pipeline, examples: _Examples) -> float:
    """Log loss, summed; of a class that the classifier has never seen the probability is next to nothing."""
    probabilities = classifier.predict_proba(examples.embeddings)
    columns = {class_id: column for column, class_id in enumerate(classifier.classes_.tolist())}
    of_truth = [
        row[columns[class_id]] if class_id in columns else 0.0
        for row, class_id in zip(probabilities, examples.class_id.tolist(), strict=True)
    ]
    return float(-np.log(np.clip(of_truth, _LEAST_PROBABILITY, 1)).sum())
