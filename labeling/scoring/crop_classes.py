"""Classifier from crops of objects, and from places before a fixed camera where nothing is."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeloop.labeling.candidates.find import find_candidates
from edgeloop.labeling.candidates.prompts import Prompts
from edgeloop.labeling.features.embedding import Embedder
from edgeloop.labeling.inputs.exemplars import Exemplars
from edgeloop.labeling.motion.background import Background
from edgeloop.labeling.sam import Segmenter
from edgeloop.labeling.scoring.classifier import NO_BOXES, ClassExamples, ClassModel, fit_classes

__all__ = ["learn_classes_from_crops"]

_MARGIN = 0.3  # of the longer side of a crop
_PLACES_PER_FRAME = 40
_MAX_CHANGED = 0.03  # of an empty place


def learn_classes_from_crops(
    exemplars: Exemplars,
    frames: Sequence[NDArray[np.uint8]],
    background: Background,
    segmenter: Segmenter,
    embedder: Embedder,
    *,
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
    images = [crop.image() for crop in exemplars.crops]
    examples = [
        _with_mask(image, crop.class_id, segmenter)
        for image, crop in zip(images, exemplars.crops, strict=True)
    ]
    sizes = np.array([(image.shape[1], image.shape[0]) for image in images])
    for frame in frames:
        places = _empty_places(frame, background, sizes, rng)
        examples.append(ClassExamples(frame, NO_BOXES, np.empty(0, np.int64), background=places))
    return fit_classes(len(exemplars.names), examples, embedder, rng)


def _with_mask(crop: NDArray[np.uint8], class_id: int, segmenter: Segmenter) -> ClassExamples:
    """Put a crop on gray, for SAM to see where the object ends."""
    height, width = crop.shape[:2]
    margin = round(_MARGIN * max(height, width))
    wide = cv2.copyMakeBorder(crop, *[margin] * 4, cv2.BORDER_CONSTANT, value=(127, 127, 127))
    image, box = np.asarray(wide, np.uint8), np.array([[0, 0, width, height]], np.float32) + margin
    (seen,) = find_candidates(image, [Prompts("exemplar", box)], segmenter)
    return ClassExamples(image, box, np.array([class_id]), [seen.mask if seen.mask_agrees else None])


def _empty_places(
    frame: NDArray[np.uint8], background: Background, sizes: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Boxes (N, 4) of the crops' sizes on what is background."""
    room = np.array([frame.shape[1], frame.shape[0]])
    sides = np.minimum(rng.choice(sizes, 4 * _PLACES_PER_FRAME), room)
    corner = np.floor(rng.uniform(0, 1, sides.shape) * (room - sides + 1)).astype(int)
    change = background.compare(frame)
    if change.problem is not None:
        return NO_BOXES
    boxes = np.concatenate((corner, corner + sides), axis=1)
    empty = [change.mask[y1:y2, x1:x2].mean() < _MAX_CHANGED for x1, y1, x2, y2 in boxes.tolist()]
    return np.asarray(boxes[empty][:_PLACES_PER_FRAME], np.float32)
