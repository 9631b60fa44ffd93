"""How unsure a detector was about a frame, told without ground truth.

Two signs: a confidence close to the threshold, where the box in most doubt stands for its frame (uncertainty
sampling; for detectors Brust et al. 2019, arXiv:1809.09875), and an object that is missing in one frame while
it stands in the frames before and after (Jin et al. 2018, arXiv:1808.04285).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgeloop.models.boxes import iou_matrix
from edgeloop.models.detections import Detections

__all__ = ["doubt", "misses"]

_SAME_IOU = 0.5


def doubt(found: Detections, threshold: float) -> float:
    """How close to the threshold the least confident box of a frame is.

    Args:
        found: The frame's detections.
        threshold: Confidence from which on the detector reports a box, below 1.

    Returns:
        1 at the threshold, 0 at a confidence of 1 or without a box.
    """
    if not len(found):
        return 0.0
    return 1.0 - max(0.0, float(found.confidence.min()) - threshold) / (1.0 - threshold)


def misses(before: Detections, found: Detections, after: Detections) -> bool:
    """Whether an object stands in the frames before and after, and not in the one between.

    Args:
        before: Detections of the frame before.
        found: Detections of the frame in question.
        after: Detections of the frame after.

    Returns:
        True where a box of `before` has one of its class in its place (IoU 0.5) in `after`, but none in
        `found`.
    """
    return bool((_again(before, after) & ~_again(before, found)).any())


def _again(some: Detections, others: Detections) -> NDArray[np.bool_]:
    """Which of `some` are there in `others` too, bool (N,)."""
    same = iou_matrix(some.xyxy, others.xyxy) >= _SAME_IOU
    same &= some.class_id[:, None] == others.class_id[None]
    return np.asarray(same.any(axis=1), dtype=np.bool_)
