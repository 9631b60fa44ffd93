"""Weighted box fusion (Solovyev et al., 2021)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from edgeloop.models.boxes import iou_matrix
from edgeloop.models.detections import Detections

__all__ = ["fuse_boxes"]

_SAME_IOU = 0.55
_MAX_BOXES = 8000  # of all views, the surest; their overlaps are a matrix


def fuse_boxes(views: Sequence[Detections]) -> Detections:
    """Fuse the detections of several views of one image.

    Boxes of one class that overlap become one box, their mean weighted by score. Its score is the sum of the
    best score of each view, divided by the number of views: a view that finds nothing there counts as 0.

    Args:
        views: Detections in the same pixels, one or more.

    Returns:
        Detections by descending score.
    """
    xyxy = np.concatenate([view.xyxy for view in views])
    score = np.concatenate([view.confidence for view in views])
    class_id = np.concatenate([view.class_id for view in views])
    source = np.repeat(np.arange(len(views)), [len(view) for view in views])
    order = np.argsort(-score, kind="stable")[:_MAX_BOXES]
    boxes: list[NDArray[np.float32]] = []
    scores: list[float] = []
    classes: list[int] = []
    for number in np.unique(class_id[order]).tolist():
        own = order[class_id[order] == number]
        for group in _groups(xyxy[own]):
            rows = own[group]
            best = rows[np.unique(source[rows], return_index=True)[1]]  # the first of a view is its best
            weight = score[best]
            boxes.append((xyxy[best] * weight[:, None]).sum(axis=0) / weight.sum())
            scores.append(float(weight.sum()) / len(views))
            classes.append(number)
    order = np.argsort(-np.array(scores), kind="stable")
    return Detections(
        xyxy=np.array(boxes, np.float32).reshape(-1, 4)[order],
        confidence=np.array(scores, np.float32)[order],
        class_id=np.array(classes, np.int64)[order],
    )


def _groups(xyxy: NDArray[np.float32]) -> Iterator[NDArray[np.int64]]:
    """Rows of boxes, the surest first, that overlap the first of their group."""
    same = iou_matrix(xyxy, xyxy) >= _SAME_IOU
    free = np.ones(len(xyxy), bool)
    for row in range(len(xyxy)):
        if free[row]:
            group = np.flatnonzero(same[row] & free)
            free[group] = free[row] = False
            yield group if len(group) else np.array([row])
