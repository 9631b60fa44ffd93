"""Follow objects with a tracker of your own: any class with this `update` is an `edgeloop.Tracker`.

    python examples/own_tracker.py parts.onnx belt.mp4

This one gives a box the id of the box in the frame before that it overlaps most.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from itertools import count

import numpy as np

import edgeloop
from edgeloop.models.boxes import iou_matrix


class OverlapTracker:
    """Tracker by overlap with the frame before."""

    def __init__(self, min_iou: float = 0.3) -> None:
        self._min_iou = min_iou
        self._before = edgeloop.Detections.empty()
        self._ids = np.zeros(0, np.int64)
        self._new_ids = count()

    def update(self, detections: edgeloop.Detections, _at_s: float) -> edgeloop.Detections:
        """Give each detection an id, and no id to two of them."""
        iou = iou_matrix(detections.xyxy, self._before.xyxy)
        ids = np.full(len(detections), -1, np.int64)
        while iou.size and iou.max() >= self._min_iou:
            row, column = np.unravel_index(iou.argmax(), iou.shape)
            ids[row] = self._ids[column]
            iou[row], iou[:, column] = 0, 0
        for row in np.flatnonzero(ids < 0):
            ids[row] = next(self._new_ids)
        self._before, self._ids = detections, ids
        return replace(detections, tracker_id=ids)


if __name__ == "__main__":
    model, source = sys.argv[1:]
    seen: set[int] = set()
    tracker: edgeloop.Tracker = OverlapTracker()
    for result in edgeloop.results(source, edgeloop.Detector(model), tracker=tracker):
        if result.detections.tracker_id is not None:
            seen.update(result.detections.tracker_id.tolist())
    print(f"{len(seen)} objects")
