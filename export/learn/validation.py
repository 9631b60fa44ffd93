"""Validation of a detector in training on held-out images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from edgeloop.edge.scoring.coco import coco_mask_results, coco_results, evaluate_boxes, evaluate_masks
from edgeloop.export.data.coco_labels import coco_truth
from edgeloop.export.data.image_cache import ImageCache
from edgeloop.export.network.compact_detector import NMS_IOU
from edgeloop.models.boxes import clip_boxes
from edgeloop.models.detections import Detections
from edgeloop.models.heads import decode_rows
from edgeloop.models.heads.segment import draw_masks
from edgeloop.models.letterbox import Letterbox

__all__ = ["detect", "quality", "validate"]

_CONFIDENCE = 0.001
_MOST_MASKS = 100  # that are scored in an image; the others would take longer than all else


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
        `map50` and `map50_95` of the boxes; and `mask_map50` and `mask_map50_95` of the masks, if there are
        any, of the 100 most confident detections in each image.
    """
    sizes, rows, mask_rows, has_masks = [], [], [], False
    for index in range(len(cache)):
        image = cache.image(index)
        sizes.append((image.shape[1], image.shape[0]))
        answer = _run(detector, image, side, _CONFIDENCE, max_detections)
        rows += coco_results(index, answer.found)
        has_masks = answer.has_masks
        if has_masks:
            mask_rows += coco_mask_results(index, answer.with_masks(_MOST_MASKS))
    truth = coco_truth(cache.labeled, sizes, names)
    boxes = evaluate_boxes(truth, rows)
    scores = {"map50": boxes.map50, "map50_95": boxes.map50_95}
    if has_masks:
        masks = evaluate_masks(truth, mask_rows)
        scores |= {"mask_map50": masks.map50, "mask_map50_95": masks.map50_95}
    return scores


def quality(scores: Mapping[str, float]) -> float:
    """Compute the figure by which detectors are compared: mAP50-95, of boxes and masks in the mean."""
    parts = [value for name, value in scores.items() if name.endswith("map50_95")]
    return sum(parts) / len(parts)


def detect(
    detector: nn.Module,
    image: NDArray[np.uint8],
    side: int,
    *,
    confidence: float,
    max_detections: int,
    iou: float = NMS_IOU,
) -> Detections:
    """Detect objects in one image, without masks.

    Args:
        detector: Detector in evaluation mode, float32, output of the head "classic" or "segment".
        image: HxWx3 uint8 BGR.
        side: Side of the detector's input, px.
        confidence: Minimum score, exclusive.
        max_detections: Maximum number of detections, the most confident ones.
        iou: IoU threshold of non-maximum suppression.

    Returns:
        Detections in px of the image, not clipped.
    """
    return _run(detector, image, side, confidence, max_detections, iou).found


class _Answer(NamedTuple):
    """Answer of a detector to an image.

    Attributes:
        found: Detections in px of the image, not clipped, without masks.
        cells: Cell of each detection, int64 (N,).
        outputs: Outputs of the detector.
        fitted: Transform of the image to the detector's input.
    """

    found: Detections
    cells: NDArray[np.int64]
    outputs: list[NDArray[np.float32]]
    fitted: Letterbox

    @property
    def has_masks(self) -> bool:
        return len(self.outputs) > 1

    def with_masks(self, most: int) -> Detections:
        """Draw the masks of the most confident detections, and return these."""
        kept = self.found[:most]
        clipped = clip_boxes(kept.xyxy, *self.fitted.source_size)
        return replace(kept, masks=draw_masks(self.outputs, self.cells[:most], self.fitted, clipped))


def _run(
    detector: nn.Module,
    image: NDArray[np.uint8],
    side: int,
    confidence: float,
    max_detections: int,
    iou: float = NMS_IOU,
) -> _Answer:
    device = next(detector.parameters()).device
    fitted = Letterbox.fit((image.shape[1], image.shape[0]), (side, side))
    pixels = torch.from_numpy(np.ascontiguousarray(fitted.apply(image)[..., ::-1]))
    with torch.inference_mode():
        output = detector(pixels.permute(2, 0, 1)[None].to(device).float() / 255)
    outputs = [each.cpu().numpy() for each in (output if isinstance(output, tuple) else (output,))]
    found, cells = decode_rows(
        "classic" if len(outputs) == 1 else "segment", outputs, input_size=(side, side),
        confidence=confidence, iou=iou, max_detections=max_detections,
    )  # fmt: skip
    return _Answer(replace(found, xyxy=fitted.to_source(found.xyxy)), cells, outputs, fitted)
