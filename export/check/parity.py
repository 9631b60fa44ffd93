"""Parity: torch against onnxruntime, box by box, and mask by mask.

The reference is the trained model in torch behind the preprocessing of its training, implemented here a
second time: with the bundle's own preprocessing on both sides, a swapped channel would go unnoticed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from edgeloop.models.boxes import clip_boxes, iou_matrix
from edgeloop.models.detections import Detections
from edgeloop.models.heads import decode_rows
from edgeloop.models.heads.segment import draw_masks
from edgeloop.models.letterbox import Letterbox
from edgeloop.models.spec import ModelSpec

__all__ = [
    "LOWEST_CONFIDENCE",
    "REPEATED",
    "SURE",
    "BundlePrecision",
    "Parity",
    "TorchDetector",
    "compare",
    "disagreement",
    "merge",
]

BundlePrecision = Literal["fp32", "fp16", "int8"]

#: Minimum confidence of a detection; average precision needs the uncertain ones too.
LOWEST_CONFIDENCE = 0.001
#: Minimum confidence of a box that must be repeated.
SURE = 0.25
#: Minimum confidence of the repetition, lower because confidence drifts.
REPEATED = 0.2

# Minimum IoU of a repeated box, and of its mask. In float32 and float16 they are torch's but for rounding, so
# one that moved is a bug. In 8 bits every box moves by some pixels: it has to be found at COCO's strict
# threshold, and mAP50-95 measures the finer placement.
_MIN_IOU: dict[BundlePrecision, float] = {"fp32": 0.95, "fp16": 0.95, "int8": 0.75}


@dataclass(frozen=True)
class Parity:
    """Agreement of onnxruntime with torch.

    Attributes:
        frames: Number of held-out images compared.
        boxes: Number of torch's boxes with a confidence of 0.25 or more.
        repeated: Number of those that onnxruntime finds too: same class, IoU at least 0.95 (int8: 0.75).
        confidence_drift: Largest difference in confidence among the repeated boxes.
        other_masks: Number of the boxes that count as not repeated because of their masks, whose IoU is less
            than a box needs; None of a model without masks.
    """

    frames: int
    boxes: int
    repeated: int
    confidence_drift: float
    other_masks: int | None = None

    @property
    def matched(self) -> float:
        """Share of the boxes that are repeated, in [0, 1]; 0 if there are none."""
        return self.repeated / self.boxes if self.boxes else 0.0


class TorchDetector:
    """The trained model in torch, float32, with the preprocessing of its training.

    Args:
        model: Module that takes (1, 3, H, W) RGB in [0, 1] and returns the output of `spec.head`, or a tuple
            of its outputs.
        spec: Spec of the bundle.
    """

    def __init__(self, model: nn.Module, spec: ModelSpec) -> None:
        self._model, self._spec = model, spec

    def detect(self, image: NDArray[np.uint8]) -> Detections:
        """Detect objects in an image, HxWx3 uint8 BGR.

        Returns:
            Detections in pixels of the image, clipped to it, down to `LOWEST_CONFIDENCE`.
        """
        spec = self._spec
        source_size = (image.shape[1], image.shape[0])
        letterbox = Letterbox.fit(source_size, spec.input_size)
        rgb = letterbox.apply(image)[:, :, ::-1].transpose(2, 0, 1)
        with torch.inference_mode():
            output = self._model(torch.from_numpy(np.ascontiguousarray(rgb))[None].float() / 255)
        outputs = [each.numpy() for each in (output if isinstance(output, tuple) else (output,))]
        found, rows = decode_rows(
            spec.head,
            outputs,
            input_size=spec.input_size,
            confidence=LOWEST_CONFIDENCE,
            iou=spec.iou,
            max_detections=spec.max_detections,
        )
        boxes_src = clip_boxes(letterbox.to_source(found.xyxy), *source_size)
        inside = np.flatnonzero((boxes_src[:, 2:] > boxes_src[:, :2]).all(axis=1))
        found, rows, boxes_src = found[inside], rows[inside], boxes_src[inside]
        masks = None
        if spec.head == "segment":
            masks = draw_masks(outputs, rows, letterbox, boxes_src)
        return Detections(boxes_src, found.confidence, found.class_id, masks=masks)


def compare(expected: Detections, actual: Detections, precision: BundlePrecision = "fp32") -> Parity:
    """Compare two sets of boxes of one image, and their masks if there are any.

    Each actual box, also of a confidence lower than `SURE`, repeats at most one expected box: of those that
    are close enough the closest, with masks that of the closest mask. If the mask of such a pair is another
    one, the box is not repeated.
    """
    expected, actual = expected[expected.confidence >= SURE], actual[actual.confidence >= REPEATED]
    iou = _iou_of_class(expected, actual)
    pairs = []
    for row in range(len(expected) if len(actual) else 0):
        near = np.flatnonzero(iou[row] >= _MIN_IOU[precision])
        if near.size:
            closeness = iou[row, near]
            if expected.masks is not None:
                closeness = _mask_iou(expected[np.full(near.size, row)], actual[near])
            partner = near[closeness.argmax()]
            pairs.append((row, partner))
            iou[:, partner] = 0
    rows, partners = np.array(pairs, np.int64).reshape(-1, 2).T
    drifts = np.abs(expected.confidence[rows] - actual.confidence[partners])
    other_masks = None
    if expected.masks is not None:
        same = _mask_iou(expected[rows], actual[partners]) >= _MIN_IOU[precision]
        drifts, other_masks = drifts[same], int((~same).sum())
    return Parity(1, len(expected), len(drifts), float(drifts.max(initial=0)), other_masks)


def disagreement(expected: Sequence[Detections], actual: Sequence[Detections]) -> float:
    """Measure how much two detectors disagree.

    Both are given image by image. There is no IoU threshold, so a few frames suffice to rank similar ones.

    Returns:
        Mean over the boxes of both with a confidence of `SURE` or more of
        1 - IoU * (1 - difference in confidence) with the best box of the same class: 0 if they agree, 1 if
        they share nothing. The IoU is that of the masks if it is smaller.
    """
    losses = [
        loss
        for one, other in zip(expected, actual, strict=True)
        for a, b in ((one, other), (other, one))
        for loss in _losses(a[a.confidence >= SURE], b).tolist()
    ]
    return sum(losses) / len(losses) if losses else 0.0


def _losses(sure: Detections, others: Detections) -> NDArray[np.float32]:
    if not len(sure) or not len(others):
        return np.ones(len(sure), np.float32)
    iou = _iou_of_class(sure, others)
    similarity = 1 - np.abs(sure.confidence[:, None] - others.confidence[None, :])
    best = (iou * similarity).argmax(axis=1)
    rows = np.arange(len(sure))
    overlap = iou[rows, best]
    if sure.masks is not None:
        overlap = np.minimum(overlap, _mask_iou(sure, others[best]))
    agreement: NDArray[np.float32] = overlap * similarity[rows, best]
    return 1 - agreement


def _mask_iou(a: Detections, b: Detections) -> NDArray[np.float32]:
    """IoU of the masks of each row with that of the same row, (N,); 0 if `b` has no masks."""
    if a.masks is None or b.masks is None:
        return np.zeros(len(a), np.float32)
    return a.masks.iou(b.masks)


def _iou_of_class(a: Detections, b: Detections) -> NDArray[np.float32]:
    """IoU (len(a), len(b)); 0 between boxes of different classes."""
    iou = iou_matrix(a.xyxy, b.xyxy)
    iou[a.class_id[:, None] != b.class_id[None, :]] = 0
    return iou


def merge(parts: Sequence[Parity]) -> Parity:
    """Merge the agreement of several images, or of several classes, into one."""
    others = [part.other_masks for part in parts if part.other_masks is not None]
    return Parity(
        frames=sum(part.frames for part in parts),
        boxes=sum(part.boxes for part in parts),
        repeated=sum(part.repeated for part in parts),
        confidence_drift=max((part.confidence_drift for part in parts), default=0.0),
        other_masks=sum(others) if others else None,
    )
