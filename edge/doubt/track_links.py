"""Links between objects of one frame and boxes of the next, and places where a track may end rightly."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgeloop.models.boxes import iou_matrix
from edgeloop.models.detections import Detections

__all__ = ["away_from_all", "link"]

_REACH = 1.0
"""Longest way of a center off its prediction, in sides of the box: a neighbor that does not overlap is
farther."""

_SIZE_RATIO = 2.0
"""Largest ratio of the longer sides of one object in two frames."""

_ROUNDS = 3
"""Rounds of matching: in each, objects and boxes are linked that are each other's nearest."""

_MARGIN = 0.25
"""Distance to the border, in sides of a box, within which an object may be leaving."""

_SAME_ID = -1.0
"""Distance of an object to the box with its id: nearer than any other."""


def link(objects: Detections, predicted: NDArray[np.float32], found: Detections) -> NDArray[np.int64]:
    """Link objects with boxes of the same class: by the id of a tracker, or else the nearest.

    Args:
        objects: Objects as they were seen last.
        predicted: float32 (N, 4) xyxy, their boxes predicted for this frame.
        found: Boxes of this frame.

    Returns:
        int64 (N,), row of the box of each object in `found`; -1 without one.
    """
    links = np.full(len(objects), -1, np.int64)
    if not len(objects) or not len(found):
        return links
    distance = _distances(objects, predicted, found)
    for _ in range(_ROUNDS):
        nearest_box, nearest_object = distance.argmin(axis=1), distance.argmin(axis=0)
        rows = np.flatnonzero(nearest_object[nearest_box] == np.arange(len(objects)))
        rows = rows[distance[rows, nearest_box[rows]] < _REACH**2]
        if not rows.size:
            break
        links[rows] = nearest_box[rows]
        distance[rows] = distance[:, nearest_box[rows]] = np.inf
    return links


def away_from_all(
    boxes: NDArray[np.float32], size: tuple[int, int], others: NDArray[np.float32]
) -> NDArray[np.bool_]:
    """True for boxes from where an object cannot just leave: away from the border and from other boxes.

    Args:
        boxes: float32 (N, 4) xyxy, pixels of the image.
        size: Width and height of the image, px.
        others: float32 (M, 4) xyxy.

    Returns:
        bool (N,).
    """
    margin = _MARGIN * (boxes[:, 2:] - boxes[:, :2])
    inside = (boxes[:, :2] > margin) & (boxes[:, 2:] < np.array(size, np.float32) - margin)
    covered = (iou_matrix(boxes, others) > 0).any(axis=1)
    return np.asarray(inside.all(axis=1) & ~covered, np.bool_)


def _distances(objects: Detections, predicted: NDArray[np.float32], found: Detections) -> NDArray[np.float32]:
    """Squared distances of centers in sides, (N, M); infinite between other classes and other sizes."""
    (reach, longest), (found_reach, found_longest) = _sides(predicted), _sides(found.xyxy)
    centers, found_centers = _doubled_centers(predicted), _doubled_centers(found.xyxy)
    # One coordinate at a time: arrays (N, M) are several times as fast as (N, M, 2).
    distance = np.zeros((len(predicted), len(found)), np.float32)
    for own, other, side, other_side in zip(centers, found_centers, reach, found_reach, strict=True):
        distance += ((own[:, None] - other) / (side[:, None] + other_side)) ** 2
    differs = objects.class_id[:, None] != found.class_id
    differs |= longest[:, None] > _SIZE_RATIO * found_longest
    differs |= found_longest > _SIZE_RATIO * longest[:, None]
    distance[differs] = np.inf
    if objects.tracker_id is not None and found.tracker_id is not None:
        same = objects.tracker_id[:, None] == found.tracker_id
        distance[same & (found.tracker_id >= 0)] = _SAME_ID
    return distance


def _doubled_centers(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray((boxes[:, :2] + boxes[:, 2:]).T, np.float32)


def _sides(boxes: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Widths and heights (2, N), and the longer of them (N,). A flat box jitters by more than its height."""
    sides = (boxes[:, 2:] - boxes[:, :2]).T
    longest = sides.max(axis=0, initial=1)
    return np.maximum(sides, longest / 2), longest
