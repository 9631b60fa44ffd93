"""One label for one object: doubles and parts go, the surest stays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgeloop.labeling.candidates.find import Candidate
from edgeloop.labeling.candidates.mask import Silhouette
from edgeloop.models.boxes import iou_matrix

__all__ = ["without_repeats"]

_DOUBLE_IOU = 0.6
_DOUBLE_OF_CLASS_IOU = 0.45  # two parts seldom lie over each other so closely; two labels of one often do
_PART_SHARE = 0.8  # of the smaller one's pixels inside the larger one


def without_repeats(
    candidates: Sequence[Candidate], scores: NDArray[np.float32], class_id: NDArray[np.int64]
) -> list[int]:
    """Choose the candidates that are objects of their own.

    Args:
        candidates: Of one frame.
        scores: float32 (N,), how sure we are of each.
        class_id: int64 (N,). Of two boxes in the same place one goes whatever their classes; one thing
            inside another is a part of it only where both are of one class.

    Returns:
        Row numbers that stay, the surest first.
    """
    if not candidates:
        return []
    boxes = np.stack([candidate.xyxy for candidate in candidates])
    iou = iou_matrix(boxes, boxes)
    kept: list[int] = []
    for row in np.argsort(-scores, kind="stable").tolist():
        limit = np.where(class_id[kept] == class_id[row], _DOUBLE_OF_CLASS_IOU, _DOUBLE_IOU)
        if (iou[row, kept] > limit).any():
            continue
        rivals = [other for other in kept if class_id[other] == class_id[row] and iou[row, other] > 0]
        if any(_shared_part(candidates[row], candidates[other]) > _PART_SHARE for other in rivals):
            continue
        kept.append(row)
    return kept


def _shared_part(a: Candidate, b: Candidate) -> float:
    """Share of the smaller one that lies inside the other: of masks where both have one, else of boxes.

    A mask counts here even where it is not of what the prompt meant: asked about a part, SAM shows the whole.
    """
    if a.silhouette is None or b.silhouette is None:
        area_a, area_b = (Silhouette.of_box(candidate.xyxy) for candidate in (a, b))
    else:
        area_a, area_b = a.silhouette, b.silhouette
    window = area_a.shared_window(area_b)
    if window is None:
        return 0.0
    shared = np.count_nonzero(area_a.window(*window) & area_b.window(*window))
    smaller = min(int(np.count_nonzero(area.bits)) for area in (area_a, area_b))
    return int(shared) / max(smaller, 1)
