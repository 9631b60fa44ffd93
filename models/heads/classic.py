"""Ultralytics heads before NMS: YOLOv8, YOLO11, and YOLO26 exported with its one-to-many head."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgeloop.models.boxes import cxcywh_to_xyxy
from edgeloop.models.detections import Detections
from edgeloop.models.errors import ModelError

__all__ = ["decode"]


def decode(output: NDArray[np.floating], *, confidence: float) -> Detections:
    """Decode a dense output.

    (1, 4 + classes, N): center x, center y, width, height in pixels of the model's input, then one score in
    [0, 1] per class.
    """
    if output.ndim != 3 or output.shape[0] != 1 or output.shape[1] < 5:
        raise ModelError(f"classic head: expected an output (1, 4 + classes, N), got {output.shape}")
    scores = output[0, 4:]
    # The maximum over classes runs along memory; the slower argmax is taken of the few candidates only.
    candidates = np.flatnonzero(scores.max(axis=0) > confidence)
    if not candidates.size:
        return Detections.empty()
    best = scores[:, candidates].astype(np.float32)
    return Detections(cxcywh_to_xyxy(output[0, :4, candidates]), best.max(axis=0), best.argmax(axis=0))
