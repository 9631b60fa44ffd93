"""Ultralytics end-to-end heads: YOLO26, YOLOv10, or any export with NMS in its graph."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgeloop.models.detections import Detections
from edgeloop.models.errors import ModelError

__all__ = ["decode"]


def decode(output: NDArray[np.floating], *, confidence: float, max_detections: int) -> Detections:
    """Decode an end-to-end output, at most `max_detections` of it, most confident first.

    (1, K, 6): x1, y1, x2, y2 in pixels of the model's input, confidence, class. Unused rows have a confidence
    of 0.
    """
    if output.ndim != 3 or output.shape[0] != 1 or output.shape[2] != 6:
        raise ModelError(f"end2end head: expected an output (1, K, 6), got {output.shape}")
    rows = output[0]
    rows = rows[rows[:, 4] > confidence].astype(np.float32)
    rows = rows[np.argsort(-rows[:, 4], kind="stable")[:max_detections]]
    return Detections(rows[:, :4], rows[:, 4], rows[:, 5].astype(np.int64))
