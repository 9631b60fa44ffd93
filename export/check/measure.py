"""Measure bundles on held-out frames: parity with torch, mAP and latency."""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.cli.progress import progress
from edgeloop.edge.runtime.detector import Detector
from edgeloop.edge.scoring.coco import (
    Scores,
    coco_mask_results,
    coco_results,
    evaluate_boxes,
    evaluate_masks,
)
from edgeloop.export.check.parity import (
    REPEATED,
    BundlePrecision,
    Parity,
    TorchDetector,
    compare,
    merge,
)
from edgeloop.export.data.coco_labels import coco_truth
from edgeloop.export.data.yolo_dataset import LabeledImage
from edgeloop.models.detections import Detections
from edgeloop.models.errors import AbsurdOutputError, NonFiniteOutputError

__all__ = ["Measurement", "Reference", "measure", "measure_torch", "with_latencies"]

_log = logging.getLogger(__name__)

_ROUNDS, _PER_ROUND, _WARM_UP = 7, 10, 3
_CANDIDATE_IOU, _MOST_CANDIDATES = 0.99, 3000  # of boxes in an image, before NMS but for equal ones
_MOST_MASKS = 100  # that are scored in an image, as in validation during training

Json = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Reference:
    """Torch on the held-out frames.

    Attributes:
        images: The frames.
        truth: Their labels in COCO format.
        found: Torch's detections on each, down to `LOWEST_CONFIDENCE`, or to `REPEATED` if they have masks,
            which take memory.
        scores: Scores of all boxes against the labels.
        mask_scores: Scores of the masks of the 100 most confident detections in each image; None of a model
            without.
    """

    images: tuple[LabeledImage, ...]
    truth: Json
    found: tuple[Detections, ...]
    scores: Scores
    mask_scores: Scores | None = None


@dataclass(frozen=True, eq=False)
class Measurement:
    """Results of a bundle on the held-out frames.

    Attributes:
        precision: Precision of the bundle.
        parity: Agreement with torch.
        per_class: Agreement with torch by class name.
        scores: Scores of the boxes against the labels.
        found: Detections on each frame, as those of `Reference`.
        bytes: File size, bytes.
        latency_ms: Median time of the bare inference, ms, interleaved with the other bundles.
        mask_scores: Scores of the masks, as those of `Reference`.
    """

    precision: BundlePrecision
    parity: Parity
    per_class: Mapping[str, Parity]
    scores: Scores
    found: tuple[Detections, ...]
    bytes: int
    latency_ms: float = 0.0
    mask_scores: Scores | None = None


def measure_torch(detector: TorchDetector, images: Sequence[LabeledImage], names: Sequence[str]) -> Reference:
    """Run the trained model over held-out images, as the reference that bundles are compared with.

    Raises:
        DataError: An image cannot be read, or none of them shows an object.
    """
    sizes, found = [], _Found()
    for labeled in progress(images, "Torch"):
        image = labeled.read()
        sizes.append((image.shape[1], image.shape[0]))
        found.add(detector.detect(image))
    truth = coco_truth(images, sizes, names)
    masks = any(each.masks is not None for each in found.kept)
    return Reference(tuple(images), truth, tuple(found.kept), *found.scores(truth, masks=masks))


def measure(precision: BundlePrecision, bundle: Detector, reference: Reference) -> Measurement:
    """Measure a bundle, opened with `LOWEST_CONFIDENCE`, on the frames of the reference, without latency.

    A frame of which the output is absurd or not finite counts as one without detections.

    Raises:
        DataError: An image cannot be read.
        ModelError: The bundle does not run.
    """
    found = _Found()
    of_classes: list[list[Parity]] = [[] for _ in bundle.names]
    images = progress(reference.images, f"Bundle {precision}")
    for labeled, expected in zip(images, reference.found, strict=True):
        shipped, candidates = _detect(bundle, labeled.read())
        found.add(shipped)
        for number, of_class in enumerate(of_classes):
            own, theirs = (each[each.class_id == number] for each in (expected, candidates))
            of_class.append(compare(own, theirs, precision))
    per_class = dict(zip(bundle.names, map(merge, of_classes), strict=True))
    scores, mask_scores = found.scores(reference.truth, masks=reference.mask_scores is not None)
    return Measurement(
        precision=precision,
        parity=replace(merge([*per_class.values()]), frames=len(reference.images)),
        per_class=per_class,
        scores=scores,
        found=tuple(found.kept),
        bytes=bundle.path.stat().st_size,
        mask_scores=mask_scores,
    )


def _detect(bundle: Detector, image: NDArray[np.uint8]) -> tuple[Detections, Detections]:
    """Detect objects: what ships, and all boxes that may repeat torch's.

    Of two boxes of an object, rounding may decide which one non-maximum suppression keeps, and either is
    right. So all boxes are there, but for those that are all but equal.
    """
    prepared = bundle.preprocess(image)
    outputs = bundle.infer(prepared)
    try:
        return bundle.postprocess(outputs, prepared.letterbox), bundle.candidates(
            outputs,
            prepared.letterbox,
            confidence=REPEATED,
            iou=_CANDIDATE_IOU,
            max_detections=_MOST_CANDIDATES,
        )
    except (AbsurdOutputError, NonFiniteOutputError) as error:
        _log.warning("%s", error)
        return Detections.empty(), Detections.empty()


def with_latencies(
    measurements: Sequence[Measurement], bundles: Sequence[Detector], image: NDArray[np.uint8]
) -> list[Measurement]:
    """Time bundles round robin, so that other load on the machine slows all of them alike.

    The image is HxWx3 uint8 BGR. The results are returned with the median time of an inference.
    """
    prepared = [bundle.preprocess(image) for bundle in bundles]
    times_ms: list[list[float]] = [[] for _ in bundles]
    for _ in progress(range(_ROUNDS), "Latency"):
        for bundle, one, times in zip(bundles, prepared, times_ms, strict=True):
            for run in range(_WARM_UP + _PER_ROUND):
                began = time.perf_counter()
                bundle.infer(one)
                if run >= _WARM_UP:
                    times.append((time.perf_counter() - began) * 1e3)
    return [
        replace(each, latency_ms=statistics.median(times))
        for each, times in zip(measurements, times_ms, strict=True)
    ]


class _Found:
    """Detections frame by frame: as rows to score, and those to compare with others.

    Attributes:
        kept: Detections of each frame, without the masks of unsure ones.
    """

    def __init__(self) -> None:
        self.kept: list[Detections] = []
        self._boxes: list[Json] = []
        self._masks: list[Json] = []

    def add(self, found: Detections) -> None:
        number = len(self.kept)
        self._boxes += coco_results(number, found)
        if found.masks is not None:
            self._masks += coco_mask_results(number, found[:_MOST_MASKS])
            found = found[found.confidence >= REPEATED]
        self.kept.append(found)

    def scores(self, truth: Json, *, masks: bool) -> tuple[Scores, Scores | None]:
        """Scores of the boxes, and of the masks if they are asked for."""
        return evaluate_boxes(truth, self._boxes), evaluate_masks(truth, self._masks) if masks else None
