"""Validation of a detector in training on held-out images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from edgeloop.edge.scoring.coco import coco_mask_results, coco_results, evaluate_boxes, evaluate_masks
from edgeloop.export.data.coco_labels import coco_truth
from edgeloop.export.data.image_cache import ImageCache
from edgeloop.models.boxes import clip_boxes
from edgeloop.models.detections import Detections
from edgeloop.models.heads import decode_rows
from edgeloop.models.heads.segment import draw_masks
from edgeloop.models.letterbox import Letterbox

__all__ = ["detect", "quality", "validate"]

_CONFIDENCE, _IOU = 0.001, 0.7


def validate(
    detector: nn.Module, cache: ImageCache, names: Sequence[str], side: int, max_detections: int
) -> dict[str, float]:
    """Score a detector against the labels of held-out images.

    Args:
        detector: Detector in evaluation mode, float32, output of the head "classic" or "segment".
        cache: Held-out images, some with an object; with outlines for the head "segment".
        names: Class names by class number.
        side: Side of the detector's input, px.
        max_detections: Maximum number of detections per image.

    Returns:
        `map50` and `map50_95` of the boxes, and `mask_map50` and `mask_map50_95` if there are masks.
    """
    sizes, rows, has_masks = [], [], False
    for index in range(len(cache)):
        image = cache.image(index)
        sizes.append((image.shape[1], image.shape[0]))
        found = detect(detector, image, side, confidence=_CONFIDENCE, max_detections=max_detections)
        has_masks = found.masks is not None
        rows += coco_mask_results(index, found) if has_masks else coco_results(index, found)
    truth = coco_truth(cache.labeled, sizes, names)
    boxes = evaluate_boxes(truth, rows)
    scores = {"map50": boxes.map50, "map50_95": boxes.map50_95}
    if has_masks:
        masks = evaluate_masks(truth, rows)
        scores |= {"mask_map50": masks.map50, "mask_map50_95": masks.map50_95}
    return scores


def quality(scores: Mapping[str, float]) -> float:
    """Compute the figure by which detectors are compared: mAP50-95, of boxes and masks in the mean."""
    parts = [value for name, value in scores.items() if name.endswith("map50_95")]
    return sum(parts) / len(parts)


def detect(
    detector: nn.Module, image: NDArray[np.uint8], side: int, *, confidence: float, max_detections: int
) -> Detections:
    """Detect objects in one image.

    Args:
        detector: Detector in evaluation mode, float32, output of the head "classic" or "segment".
        image: HxWx3 uint8 BGR.
        side: Side of the detector's input, px.
        confidence: Minimum score, exclusive.
        max_detections: Maximum number of detections, the most confident ones.

    Returns:
        Detections in px of the image, not clipped; with masks of the head "segment".
    """
    device = next(detector.parameters()).device
    fitted = Letterbox.fit((image.shape[1], image.shape[0]), (side, side))
    pixels = torch.from_numpy(np.ascontiguousarray(fitted.apply(image)[..., ::-1]))
    with torch.inference_mode():
        output = detector(pixels.permute(2, 0, 1)[None].to(device).float() / 255)
    outputs = [each.cpu().numpy() for each in (output if isinstance(output, tuple) else (output,))]
    found, cells = decode_rows(
        "classic" if len(outputs) == 1 else "segment", outputs, input_size=(side, side),
        confidence=confidence, iou=_IOU, max_detections=max_detections,
    )  # fmt: skip
    found = replace(found, xyxy=fitted.to_source(found.xyxy))
    if len(outputs) == 1:
        return found
    return replace(
        found, masks=draw_masks(outputs, cells, fitted, clip_boxes(found.xyxy, *fitted.source_size))
    )
