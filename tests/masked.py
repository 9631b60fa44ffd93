"""Detections with masks, made by hand."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.synth import Truth
from edgeloop.models.detections import Detections
from edgeloop.models.masks import Masks

__all__ = ["masked", "masked_truth"]


def masked(
    *pixels: NDArray[np.bool_],
    boxes: NDArray[np.float32] | None = None,
    class_id: NDArray[np.int64] | None = None,
) -> Detections:
    """Objects by their whole masks, bool (H, W); boxes are around the pixels if there are none."""
    height, width = pixels[0].shape
    if boxes is None:
        spans = [[np.flatnonzero(each.any(axis=axis)) for axis in (0, 1)] for each in pixels]
        boxes = np.array([(x[0], y[0], x[-1] + 1, y[-1] + 1) for x, y in spans], np.float32)
    corners = boxes[:, :2].astype(np.int64)
    ends = boxes[:, 2:].astype(np.int64)
    windows = tuple(
        np.asarray(each[top:bottom, left:right], np.bool_)
        for each, (left, top), (right, bottom) in zip(pixels, corners.tolist(), ends.tolist(), strict=True)
    )
    count = len(pixels)
    return Detections(
        boxes,
        np.linspace(0.9, 0.5, count, dtype=np.float32),
        np.arange(count, dtype=np.int64) if class_id is None else class_id,
        masks=Masks(windows, corners, (width, height)),
    )


def masked_truth(truth: Truth) -> Detections:
    """Objects of a frame of a built-in scene."""
    return masked(*truth.masks, boxes=truth.xyxy, class_id=truth.class_id)
