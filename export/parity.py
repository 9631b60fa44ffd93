"""Torch against onnxruntime, box by box.

The reference is the trained model in torch, behind the preprocessing that it was trained with, written down
here once more: were the bundle's own used for both sides, a swapped channel would go unseen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from models.boxes import clip_boxes, iou_matrix
from models.detections import Detections
from models.heads import decode
from models.letterbox import Letterbox
from models.spec import ModelSpec

__all__ = ["Parity", "TorchDetector", "compare", "merge"]

_CONFIDENCE = 0.25  # of the boxes that must be repeated
_NEARLY = 0.2  # a box that is repeated with this confidence was not lost, only less certain
_SAME_BOX = 0.95


@dataclass(frozen=True)
class Parity:
    """How far onnxruntime agrees with torch.

    Attributes:
        frames: Held-out images compared.
        boxes: Torch's boxes with a confidence of 0.25 or more.
        repeated: Those that onnxruntime has too, at IoU 0.95 or more and of the same class.
        confidence_drift: Largest difference in confidence among the repeated boxes.
    """

    frames: int
    boxes: int
    repeated: int
    confidence_drift: float

    @property
    def matched(self) -> float:
        """Share of the boxes that are repeated, in [0, 1]; 0 where there are none."""
        return self.repeated / self.boxes if self.boxes else 0.0


class TorchDetector:
    """The trained model in torch, float32, with the preprocessing that it was trained with."""

    def __init__(self, model: nn.Module, spec: ModelSpec) -> None:
        """Wrap a model.

        Args:
            model: Takes (1, 3, H, W) RGB in [0, 1] and returns what `spec.head` writes.
            spec: How the bundle is to be run.
        """
        self._model, self._spec = model, spec

    def detect(self, image: NDArray[np.uint8]) -> Detections:
        """Find the objects in an image.

        Args:
            image: HxWx3 uint8 BGR.

        Returns:
            Detections in pixels of the image, clipped to it.
        """
        spec = self._spec
        source_size = (image.shape[1], image.shape[0])
        letterbox = Letterbox.fit(source_size, spec.input_size)
        rgb = letterbox.apply(image)[:, :, ::-1].transpose(2, 0, 1)
        with torch.inference_mode():
            output = self._model(torch.from_numpy(np.ascontiguousarray(rgb))[None].float() / 255)
        found = decode(
            spec.head,
            [output.numpy()],
            input_size=spec.input_size,
            confidence=_CONFIDENCE,
            iou=spec.iou,
            max_detections=spec.max_detections,
        )
        boxes_src = clip_boxes(letterbox.to_source(found.xyxy), *source_size)
        inside = (boxes_src[:, 2:] > boxes_src[:, :2]).all(axis=1)
        return Detections(boxes_src[inside], found.confidence[inside], found.class_id[inside])


def compare(expected: Detections, actual: Detections) -> Parity:
    """Compare two sets of boxes of one image.

    Args:
        expected: What torch found.
        actual: What onnxruntime found, down to a lower confidence.

    Returns:
        The agreement; each actual box repeats at most one expected box.
    """
    actual = actual[actual.confidence >= _NEARLY]
    iou = iou_matrix(expected.xyxy, actual.xyxy)
    iou[expected.class_id[:, None] != actual.class_id[None, :]] = 0
    drifts = []
    for row in range(len(expected) if len(actual) else 0):
        partner = int(iou[row].argmax())
        if iou[row, partner] >= _SAME_BOX:
            drifts.append(abs(float(expected.confidence[row] - actual.confidence[partner])))
            iou[:, partner] = 0
    return Parity(1, len(expected), len(drifts), max(drifts, default=0.0))


def merge(parts: Sequence[Parity]) -> Parity:
    """Sum up the agreement over images.

    Args:
        parts: One for each image.

    Returns:
        The agreement over all of them.
    """
    return Parity(
        frames=sum(part.frames for part in parts),
        boxes=sum(part.boxes for part in parts),
        repeated=sum(part.repeated for part in parts),
        confidence_drift=max((part.confidence_drift for part in parts), default=0.0),
    )
