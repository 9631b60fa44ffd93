"""Non-maximum suppression of candidates, by boxes and by masks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgeloop.labeling.candidates.candidate import Candidate
from edgeloop.labeling.candidates.mask import CroppedMask
from edgeloop.models.boxes import iou_matrix

__all__ = ["deduplicate"]

_NMS_IOU = 0.6
_NMS_IOU_SAME_CLASS = 0.45  # two objects of a class seldom overlap so much; two boxes of one object often do
_PART_SHARE = 0.8  # of the smaller mask's pixels inside the larger one


def deduplicate(
    candidates: Sequence[Candidate], scores: NDArray[np.float32], class_id: NDArray[np.int64]
) -> list[int]:
    """Remove duplicates and parts of objects, the lower score first.

    Args:
        candidates: Candidates of one frame.
        scores: float32 (N,), confidence of each.
        class_id: int64 (N,). Overlapping boxes are duplicates whatever their classes; an object inside
            another is a part of it only if both are of one class.

    Returns:
        Rows to keep, the highest score first.
    """
    if not candidates:
        return []
    boxes = np.stack([candidate.xyxy for candidate in candidates])
    iou = iou_matrix(boxes, boxes)
    kept: list[int] = []
    for row in np.argsort(-scores, kind="stable").tolist():
        limit = np.where(class_id[kept] == class_id[row], _NMS_IOU_SAME_CLASS, _NMS_IOU)
        if (iou[row, kept] > limit).any():
            continue
        rivals = [other for other in kept if class_id[other] == class_id[row] and iou[row, other] > 0]
        if any(_shared_part(candidates[row], candidates[other]) > _PART_SHARE for other in rivals):
            continue
        kept.append(row)
    return kept


def _shared_part(a: Candidate, b: Candidate) -> float:
    """Intersection over the smaller area: of masks if both have one, else of boxes.

    A mask counts even if it disagrees with its prompt: prompted with a part, SAM often segments the whole.
    """
    if a.mask is None or b.mask is None:
        area_a, area_b = (CroppedMask.from_box(candidate.xyxy) for candidate in (a, b))
    else:
        area_a, area_b = a.mask, b.mask
    window = area_a.shared_window(area_b)
    if window is None:
        return 0.0
    shared = np.count_nonzero(area_a.window(*window) & area_b.window(*window))
    smaller = min(int(np.count_nonzero(area.bits)) for area in (area_a, area_b))
    return int(shared) / max(smaller, 1)
