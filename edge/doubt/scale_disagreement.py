"""Disagreement of two looks at one image, at different scales."""

from __future__ import annotations

import numpy as np

from edgeloop.edge.doubt.neighborhood import any_of
from edgeloop.models.boxes import iou_matrix
from edgeloop.models.detections import Detections

__all__ = ["disagreement"]

_SAME_IOU = 0.5
"""Minimum IoU of two boxes of one object."""


def disagreement(found: Detections, other: Detections, threshold: float) -> float:
    """Probability that one of two looks is wrong somewhere.

    A box that only one of them has counts as far as its score exceeds the threshold: at the threshold, the
    slightest difference makes it come and go.

    Args:
        found: Detections of one look.
        other: Detections of the other, in pixels of the same image.
        threshold: The detector's minimum confidence, below 1.

    Returns:
        0 if each box has one of its class at its place in the other look, up to 1.
    """
    same = iou_matrix(found.xyxy, other.xyxy) >= _SAME_IOU
    same &= found.class_id[:, None] == other.class_id
    alone = np.concatenate((found.confidence[~same.any(axis=1)], other.confidence[~same.any(axis=0)]))
    return any_of(((alone - threshold) / (1 - threshold)).clip(0, 1).tolist())
