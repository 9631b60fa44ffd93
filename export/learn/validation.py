"""Validation of a detector in training on held-out images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from edgeloop.edge.scoring.coco import Scores, coco_results, evaluate_boxes
from edgeloop.export.data.coco_labels import coco_truth
from edgeloop.export.data.image_cache import ImageCache
from edgeloop.models.detections import Detections
from edgeloop.models.heads import decode
from edgeloop.models.letterbox import Letterbox

__all__ = ["detect", "validate"]

_CONFIDENCE, _IOU = 0.001, 0.7


def validate(
    detector: nn.Module, cache: ImageCache, names: Sequence[str], side: int, max_detections: int
) -> Scores:
    """Score a detector against the labels of held-out images.

    Args:
        detector: Detector in evaluation mode, float32, output of the head "classic".
        cache: Held-out images, some with an object.
        names: Class names by class number.
        side: Side of the detector's input, px.
        max_detections: Maximum number of detections per image.

    Returns:
        The scores.
    """
    sizes, rows = [], []
    for index in range(len(cache)):
        image = cache.image(index)
        sizes.append((image.shape[1], image.shape[0]))
        found = detect(detector, image, side, confidence=_CONFIDENCE, max_detections=max_detections)
        rows += coco_results(index, found)
    return evaluate_boxes(coco_truth(cache.labeled, sizes, names), rows)


def detect(
    detector: nn.Module, image: NDArray[np.uint8], side: int, *, confidence: float, max_detections: int
) -> Detections:
    """Detect objects in one image.

    Args:
        detector: Detector in evaluation mode, float32, output of the head "classic".
        image: HxWx3 uint8 BGR.
        side: Side of the detector's input, px.
        confidence: Minimum score, exclusive.
        max_detections: Maximum number of detections, the most confident ones.

    Returns:
        Detections in px of the image, not clipped.
    """
    device = next(detector.parameters()).device
    fitted = Letterbox.fit((image.shape[1], image.shape[0]), (side, side))
    pixels = torch.from_numpy(np.ascontiguousarray(fitted.apply(image)[..., ::-1]))
    with torch.inference_mode():
        output = detector(pixels.permute(2, 0, 1)[None].to(device).float() / 255).cpu().numpy()
    found = decode(
        "classic", [output], input_size=(side, side), confidence=confidence, iou=_IOU,
        max_detections=max_detections,
    )  # fmt: skip
    return replace(found, xyxy=fitted.to_source(found.xyxy))
