"""Uncertainty of a detector about a frame, without ground truth.

Two signs: a confidence close to the threshold, with the least certain box standing for its frame (uncertainty
sampling; for detectors Brust et al. 2019, arXiv:1809.09875), and a detection that is missing in one frame but
present in the frames before and after (Jin et al. 2018, arXiv:1808.04285).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgeloop.models.boxes import iou_matrix
from edgeloop.models.detections import Detections

__all__ = ["has_gap", "uncertainty"]

_SAME_IOU = 0.5
"""Minimum IoU of two boxes of one object in different frames."""


def uncertainty(found: Detections, threshold: float) -> float:
    """Uncertainty of the least confident box of a frame.

    Args:
        found: Detections of the frame.
        threshold: The detector's minimum confidence, below 1.

    Returns:
        1 at the threshold, 0 at a confidence of 1 or without a box.
    """
    if not len(found):
        return 0.0
    return 1.0 - max(0.0, float(found.confidence.min()) - threshold) / (1.0 - threshold)


def has_gap(before: Detections, found: Detections, after: Detections) -> bool:
    """True if an object is detected in the frames before and after, but not in the one between.

    Args:
        before: Detections of the frame before.
        found: Detections of the frame in question.
        after: Detections of the frame after.

    Returns:
        True if a box of `before` has one of its class at its position (IoU 0.5) in `after`, but none in
        `found`.
    """
    return bool((_matched(before, after) & ~_matched(before, found)).any())


def _matched(some: Detections, others: Detections) -> NDArray[np.bool_]:
    """True for each of `some` that has a match in `others`, bool (N,)."""
    same = iou_matrix(some.xyxy, others.xyxy) >= _SAME_IOU
    same &= some.class_id[:, None] == others.class_id[None]
    return np.asarray(same.any(axis=1), dtype=np.bool_)
