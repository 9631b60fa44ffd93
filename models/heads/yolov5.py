"""Dense heads with objectness, decoded in the graph: YOLOv5, YOLOv6, YOLOv7, YOLOX with decoding."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgeloop.models.boxes import cxcywh_to_xyxy
from edgeloop.models.detections import Detections
from edgeloop.models.errors import ModelError

__all__ = ["ANCHORS", "decode"]

ANCHORS = 3
"""Boxes per cell of YOLOv5 and YOLOv7."""


def decode(output: NDArray[np.floating], *, confidence: float) -> Detections:
    """Decode a dense output with objectness.

    (1, N, 5 + classes): center x, center y, width, height in pixels of the model's input, objectness and one
    score per class, both in [0, 1]. The score of a box is objectness times the best class score.
    """
    if output.ndim != 3 or output.shape[0] != 1 or output.shape[2] < 6:
        raise ModelError(f"yolov5 head: expected an output (1, N, 5 + classes), got {output.shape}")
    # No class score exceeds 1, so boxes with too low an objectness need no class scores.
    rows = output[0, output[0, :, 4] > confidence].astype(np.float32)
    scores = rows[:, 5:] * rows[:, 4:5]
    best = scores.max(axis=1)
    kept = best > confidence
    return Detections(cxcywh_to_xyxy(rows[kept, :4]), best[kept], scores[kept].argmax(axis=1))
