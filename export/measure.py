"""A bundle on held-out frames: does it repeat what torch says, how good is it, and how fast."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.detector import Detector
from edge.evaluate import Scores, coco_results, evaluate_boxes
from edge.opencv import read_image
from edge.progress import progress
from export.dataset import LabelledImage
from export.parity import Parity, TorchDetector, compare, merge
from models.errors import DataError

__all__ = ["LOWEST_CONFIDENCE", "Measurement", "measure"]

#: Average precision wants the doubtful boxes as well.
LOWEST_CONFIDENCE = 0.001

Json = dict[str, Any]


@dataclass(frozen=True)
class Measurement:
    """What was found out about a bundle.

    Attributes:
        parity: Against torch.
        scores: Against the labels.
        latency_ms: Median time of the bare inference, ms.
    """

    parity: Parity
    scores: Scores
    latency_ms: float


def measure(reference: TorchDetector, bundle: Detector, images: Sequence[LabelledImage]) -> Measurement:
    """Run a bundle and its original side by side over labelled images.

    Args:
        reference: The original.
        bundle: The bundle, opened with `LOWEST_CONFIDENCE`.
        images: Held-out images.

    Returns:
        What was found out.

    Raises:
        DataError: An image cannot be read, or none of them shows an object.
    """
    # One after the other: threads of the one that wait for work would get in the way of the other's.
    expected = [reference.detect(_read(labelled.path)) for labelled in progress(images, "Torch")]
    times_ms, parities, found = [], [], []
    truth: Json = {
        "images": [],
        "annotations": [],
        "categories": [{"id": class_id, "name": name} for class_id, name in enumerate(bundle.names)],
    }
    for number, labelled in enumerate(progress(images, "Bundle")):
        image = _read(labelled.path)
        prepared = bundle.preprocess(image)
        began = time.perf_counter()
        outputs = bundle.infer(prepared)
        times_ms.append((time.perf_counter() - began) * 1e3)
        actual = bundle.postprocess(outputs, prepared.letterbox)
        parities.append(compare(expected[number], actual))
        found += coco_results(number, actual)
        size = (image.shape[1], image.shape[0])
        truth["images"].append({"id": number, "width": size[0], "height": size[1]})
        truth["annotations"] += _coco_labels(number, labelled, size, first_id=len(truth["annotations"]) + 1)
    return Measurement(merge(parities), evaluate_boxes(truth, found), statistics.median(times_ms))


def _read(path: Path) -> NDArray[np.uint8]:
    image = read_image(path)
    if image is None:
        raise DataError(f"{path}: not a readable image; restore it or remove it")
    return image


def _coco_labels(number: int, labelled: LabelledImage, size: tuple[int, int], *, first_id: int) -> list[Json]:
    """Labels of one image as COCO annotations, boxes xywh in pixels of the image."""
    width, height = size
    annotations: list[Json] = []
    for class_id, (x, y, w, h) in zip(labelled.class_id.tolist(), labelled.xywh.tolist(), strict=True):
        box = [(x - w / 2) * width, (y - h / 2) * height, w * width, h * height]
        annotations.append(
            {
                "id": first_id + len(annotations),
                "image_id": number,
                "category_id": class_id,
                "bbox": box,
                "area": box[2] * box[3],
                "iscrowd": 0,
            }
        )
    return annotations
