"""Held-out frames of a dataset, and what a bundle scores on them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from edgeloop.edge.runtime.detector import Detector
from edgeloop.edge.scoring.coco import Scores, coco_results, evaluate_boxes
from edgeloop.export.check.parity import LOWEST_CONFIDENCE
from edgeloop.export.data.coco_labels import coco_truth
from edgeloop.export.data.yolo_dataset import Dataset, LabeledImage
from edgeloop.models.detections import Detections
from edgeloop.models.errors import AbsurdOutputError, NonFiniteOutputError

__all__ = ["HeldOut", "detect_all", "score"]


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Held-out frames of a generation in two parts.

    Attributes:
        names: Class names of the labels.
        old: Frames that were held out of an earlier generation too.
        new: Frames that came with this one.
    """

    names: tuple[str, ...]
    old: tuple[LabeledImage, ...]
    new: tuple[LabeledImage, ...]

    @classmethod
    def of(cls, data: Dataset, seen: Collection[str]) -> Self:
        """Divide the validation part of a dataset.

        Args:
            data: The dataset.
            seen: Names of the images in datasets of earlier generations.
        """
        parts: tuple[list[LabeledImage], list[LabeledImage]] = [], []
        for image in data.val:
            parts[image.path.name not in seen].append(image)
        return cls(data.names, tuple(parts[0]), tuple(parts[1]))


def detect_all(bundle: Path, images: Sequence[LabeledImage], names: Sequence[str]) -> list[Detections]:
    """Run a bundle on images, as the device runs it.

    Args:
        bundle: Model file.
        images: The images.
        names: Class names to number the detections by; those of other classes are left out.

    Returns:
        Detections on each image, down to the lowest confidence. An image of which the output is absurd or not
        finite counts as one without detections.

    Raises:
        EdgeloopError: The bundle does not run, or an image cannot be read.
    """
    detector = Detector(bundle, provider="cpu", confidence=LOWEST_CONFIDENCE)
    numbers = np.array([names.index(name) if name in names else -1 for name in detector.names], np.int64)
    return [_renumbered(_detect(detector, image), numbers) for image in images]


def score(images: Sequence[LabeledImage], found: Sequence[Detections], names: Sequence[str]) -> Scores | None:
    """Score detections against the labels of images; None if no label is there to score against.

    A class without detections counts 0, also one that the detector does not know.
    """
    if not any(len(image.class_id) for image in images):
        return None
    sizes = [(pixels.shape[1], pixels.shape[0]) for pixels in (image.read() for image in images)]
    rows = [row for number, each in enumerate(found) for row in coco_results(number, each)]
    return evaluate_boxes(coco_truth(images, sizes, names), rows)


def _detect(detector: Detector, image: LabeledImage) -> Detections:
    try:
        return detector.detect(image.read())
    except (AbsurdOutputError, NonFiniteOutputError):
        return Detections.empty()


def _renumbered(found: Detections, numbers: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Detections:
    class_id = numbers[found.class_id]
    known = class_id >= 0
    return Detections(found.xyxy[known], found.confidence[known], class_id[known])
