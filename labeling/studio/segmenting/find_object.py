"""Masks of the object that a person clicks on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgeloop.labeling.studio.segmenting.encoded_frames import EncodedFrame
from edgeloop.labeling.studio.segmenting.outline import Found, find_outline, grown
from edgeloop.labeling.studio.segmenting.view import view_of
from edgeloop.models.boxes import iou_matrix

__all__ = ["find_by_clicks"]

_ALTERNATIVES = 3
_SAME_IOU = 0.9  # of two boxes
# Standard deviation of the logarithm of the sizes of a class. Below it, boxes of these sizes at the click
# give better masks than the point: share of boxes with IoU > 0.6 for people 0.36 to 0.98, number plates 0 to
# 0.27, cars from above 0.30 to 0.70, parts 0.39 to 0.82. In photos, whose sizes vary more, it is the reverse.
_LIKE_SIZED = 0.45


def find_by_clicks(
    frame: EncodedFrame,
    points: NDArray[np.float32],
    labels: NDArray[np.float32],
    sizes: NDArray[np.float32],
) -> list[Found]:
    """Masks of one object, best first, at most three that differ.

    Args:
        frame: The frame.
        points: (P, 2) XY, in pixels of the frame.
        labels: (P,) 1 for a point on the object, 0 for one beside it.
        sizes: (N, 2) width and height of other boxes of the class, in pixels, the most telling first.
    """
    seen = _see_points(frame, points, labels)
    if len(points) == 1 and labels[0] == 1 and len(sizes):
        like = _see_boxes(frame, points[0], sizes)
        alike = len(sizes) > 1 and np.log(sizes).std(axis=0).mean() < _LIKE_SIZED
        seen = [*like[:1], *seen] if alike else [*seen[: _ALTERNATIVES - 1], *like[:1], *seen]
    found: list[Found] = []
    for each in seen:
        if len(found) < _ALTERNATIVES and not _is_among(each, found):
            found.append(each)
    return found


def _see_points(frame: EncodedFrame, points: NDArray[np.float32], labels: NDArray[np.float32]) -> list[Found]:
    """Masks by the clicks that they agree with, then by score."""
    masks, scores = frame.segmenter.alternatives(points, labels)
    columns, rows = np.minimum(points.astype(int), np.array(frame.size) - 1).T
    agreeing = (masks[:, rows, columns] == (labels == 1)).sum(axis=1)
    clicked = points[labels == 1] if labels.any() else None
    outlines = [
        (index, find_outline(masks[index], points=clicked)) for index in np.lexsort((-scores, -agreeing))
    ]
    return [
        Found(_clip(scores[index]), outline.xyxy, outline.polygons)
        for index, outline in outlines
        if outline is not None
    ]


def _see_boxes(frame: EncodedFrame, point: NDArray[np.float32], sizes: NDArray[np.float32]) -> list[Found]:
    """Masks by score, of boxes around a point."""
    boxes = np.concatenate([point - sizes / 2, point + sizes / 2], axis=1)
    boxes = np.clip(boxes, 0, np.tile(frame.size, 2)).astype(np.float32)
    view = view_of(frame, np.concatenate([point - sizes.mean(axis=0) / 2, point + sizes.mean(axis=0) / 2]))
    masks, scores = view.segmenter.masks(boxes=boxes - np.tile(view.corner, 2))
    outlines = [
        (index, find_outline(masks[index], view.corner, point[None])) for index in np.argsort(-scores)
    ]
    return [
        Found(_clip(scores[index]), grown(outline.xyxy, view.pixel, frame.size), outline.polygons)
        for index, outline in outlines
        if outline is not None
    ]


def _is_among(one: Found, others: list[Found]) -> bool:
    if not others:
        return False
    boxes = np.array([other.xyxy for other in others], dtype=np.float32)
    return bool((iou_matrix(np.array([one.xyxy], dtype=np.float32), boxes) >= _SAME_IOU).any())


def _clip(score: np.floating) -> float:
    return round(float(np.clip(score, 0, 1)), 3)
