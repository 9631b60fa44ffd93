"""Arithmetic on axis-aligned boxes.

Boxes are arrays (N, 4) in three formats with torchvision's names: `xyxy` (corners x1, y1, x2, y2; the default
here), `xywh` (corner x1, y1 and size; COCO) and `cxcywh` (center and size; YOLO). Coordinates are continuous:
a box that covers the leftmost pixel column reaches from 0 to 1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["clip_boxes", "cxcywh_to_xyxy", "iou_matrix", "nms", "xywh_to_xyxy", "xyxy_to_xywh"]

_BLOCK = 64


def xywh_to_xyxy(xywh: NDArray[np.floating]) -> NDArray[np.float32]:
    """Convert COCO boxes (N, 4) x1, y1, width, height to corners, float32 (N, 4) in the same frame."""
    corner, size = xywh[:, :2], xywh[:, 2:]
    return np.concatenate((corner, corner + size), axis=1, dtype=np.float32)


def xyxy_to_xywh(xyxy: NDArray[np.floating]) -> NDArray[np.float32]:
    """Convert corners (N, 4) to COCO boxes, float32 (N, 4) in the same frame."""
    return np.concatenate((xyxy[:, :2], xyxy[:, 2:] - xyxy[:, :2]), axis=1, dtype=np.float32)


def cxcywh_to_xyxy(cxcywh: NDArray[np.floating]) -> NDArray[np.float32]:
    """Convert YOLO boxes (N, 4) center x, center y, width, height to corners, float32 (N, 4)."""
    center, half = cxcywh[:, :2], cxcywh[:, 2:] / 2
    return np.concatenate((center - half, center + half), axis=1, dtype=np.float32)


def clip_boxes(xyxy: NDArray[np.float32], width: int, height: int) -> NDArray[np.float32]:
    """Clip boxes to an image.

    Args:
        xyxy: float32 (N, 4), pixels of the image.
        width: Image width in pixels.
        height: Image height in pixels.

    Returns:
        float32 (N, 4); a box outside the image collapses to zero area on its border.
    """
    return np.clip(xyxy, np.float32(0), np.array([width, height, width, height], np.float32))


def iou_matrix(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute the intersection over union of all pairs of two sets of boxes.

    Args:
        a: float32 (N, 4) xyxy.
        b: float32 (M, 4) xyxy, in the frame of `a`.

    Returns:
        float32 (N, M) in [0, 1]; 0 if neither box has area.
    """
    # One contiguous row per coordinate: twice as fast as arithmetic on pairs of coordinates.
    (ax1, ay1, ax2, ay2), (bx1, by1, bx2, by2) = a.T[..., None].copy(), b.T.copy()
    width = np.minimum(ax2, bx2) - np.maximum(ax1, bx1)
    height = np.minimum(ay2, by2) - np.maximum(ay1, by1)
    shared = np.maximum(width, 0) * np.maximum(height, 0)
    union = _areas(a)[:, None] + _areas(b) - shared
    iou: NDArray[np.float32] = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return iou


def nms(
    xyxy: NDArray[np.float32],
    confidence: NDArray[np.float32],
    class_id: NDArray[np.int64] | None,
    iou_threshold: float,
    *,
    limit: int | None = None,
) -> NDArray[np.int64]:
    """Greedy non-maximum suppression: keep the most confident of overlapping boxes.

    Args:
        xyxy: float32 (N, 4).
        confidence: float32 (N,).
        class_id: int64 (N,); boxes of different classes never suppress each other. None: ignore classes.
        iou_threshold: Boxes whose IoU with a kept box exceeds this are suppressed. Lower values keep fewer
            overlapping boxes.
        limit: Maximum number of kept boxes, the most confident ones.

    Returns:
        int64 (K,) indices of the kept rows, most confident first; ties in input order.
    """
    left = np.argsort(-confidence, kind="stable")
    kept = left[:0]
    # One IoU matrix per block and one against the rest: neither quadratic in all boxes nor one round of array
    # calls per kept box.
    while left.size and (limit is None or len(kept) < limit):
        block, left = left[:_BLOCK], left[_BLOCK:]
        hit = _overlap(xyxy, class_id, block, block, iou_threshold)
        stays = np.ones(len(block), bool)
        for row in range(len(block)):
            if stays[row]:
                stays[row + 1 :] &= ~hit[row, row + 1 :]
        block = block[stays]
        left = left[~_overlap(xyxy, class_id, block, left, iou_threshold).any(axis=0)]
        kept = np.concatenate((kept, block))
    return kept[:limit].astype(np.int64)


def _overlap(
    xyxy: NDArray[np.float32],
    class_id: NDArray[np.int64] | None,
    rows: NDArray[np.intp],
    others: NDArray[np.intp],
    iou_threshold: float,
) -> NDArray[np.bool_]:
    """Mask of the rows that would suppress others: bool (len(rows), len(others))."""
    hit = iou_matrix(xyxy[rows], xyxy[others]) > iou_threshold
    if class_id is not None:
        hit &= class_id[rows, None] == class_id[others]
    return hit


def _areas(xyxy: NDArray[np.float32]) -> NDArray[np.float32]:
    sides = np.maximum(xyxy[:, 2:] - xyxy[:, :2], np.float32(0))
    area: NDArray[np.float32] = sides[:, 0] * sides[:, 1]
    return area
