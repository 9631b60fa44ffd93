"""Masks of the object that a person clicks on or draws a box around."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeloop.labeling.sam import InteractiveSegmenter
from edgeloop.labeling.studio.segmenting.outline import Outline, find_outline
from edgeloop.models.boxes import iou_matrix

__all__ = ["Found", "find_by_clicks", "snap_box"]

_ALTERNATIVES = 3
_SAME_IOU = 0.9  # of two masks
_LEAST_SCORE = 0.6  # predicted IoU of a mask that a dragged box snaps to
_LEAST_FIT = 0.6  # IoU of the dragged and the snapped box


@dataclass(frozen=True, slots=True)
class Found:
    """A mask.

    Attributes:
        score: Predicted IoU, 0 to 1.
        outline: Its outline.
    """

    score: float
    outline: Outline


def find_by_clicks(
    segmenter: InteractiveSegmenter, points: NDArray[np.float32], labels: NDArray[np.float32]
) -> list[Found]:
    """Masks of one object, best first, at most three that differ.

    Args:
        segmenter: Segmenter of the frame.
        points: (P, 2) XY, in pixels of the frame.
        labels: (P,) 1 for a point on the object, 0 for one beside it.
    """
    masks, scores = segmenter.alternatives(points, labels)
    order = np.argsort(-scores, kind="stable")
    chosen: list[int] = []
    for index in order:
        if all(_mask_iou(masks[index], masks[other]) < _SAME_IOU for other in chosen):
            chosen.append(int(index))
    found = [(float(scores[index]), find_outline(masks[index])) for index in chosen]
    return [Found(min(max(score, 0.0), 1.0), outline) for score, outline in found if outline is not None][
        :_ALTERNATIVES
    ]


def snap_box(segmenter: InteractiveSegmenter, xyxy: NDArray[np.float32]) -> Found | None:
    """Object in a dragged box.

    Args:
        segmenter: Segmenter of the frame.
        xyxy: (4,) corners, in pixels of the frame.

    Returns:
        The mask; None if none fits the box.
    """
    masks, scores = segmenter.masks(boxes=xyxy[None])
    outline = find_outline(masks[0])
    if outline is None or scores[0] < _LEAST_SCORE:
        return None
    fit = iou_matrix(xyxy[None], np.array([outline.xyxy], np.float32))[0, 0]
    return Found(min(float(scores[0]), 1.0), outline) if fit >= _LEAST_FIT else None


def _mask_iou(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return float((a & b).sum() / max(1, (a | b).sum()))
