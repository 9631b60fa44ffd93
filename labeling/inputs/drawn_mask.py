"""Masks that a person drew, as polygons or with a brush."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.labels.coco_json import object_box
from edgeloop.edge.labels.label_lines import Box
from edgeloop.edge.labels.label_problems import LabelProblems
from edgeloop.edge.scoring.run_lengths import compress_runs, mask_area
from edgeloop.models.boxes import iou_matrix

__all__ = ["drawn_mask"]

_LEAST_AGREEMENT = 0.6  # IoU of a box and its mask's extent; below, one of them is of something else
_RECTANGLE = 0.99  # share of its upright or turned bounding box that a box fills, apart from rounding


def drawn_mask(
    segmentation: object, box: Box, size: tuple[int, int], place: str, problems: LabelProblems
) -> str | None:
    """Compress the mask of an object as a person drew it.

    A rectangle, upright or turned, is what tools write for a box, and tells no more.

    Args:
        segmentation: Polygons in pixels of the image, or run lengths, as in a COCO json.
        box: Box of the object, in pixels of the image.
        size: (width, height) of the image in pixels.
        place: Place of the label, for problems.
        problems: Counts masks that do not fit their box.

    Returns:
        `counts` of the run lengths; None if there is no mask, or only a rectangle, or one that is malformed
        or elsewhere than its box.
    """
    if segmentation in (None, {}, [], [[]]):
        return None
    try:
        runs = compress_runs(segmentation, size)
    except ValueError:
        problems.note("unfit_mask", place)
        return None
    if _is_turned_box(segmentation):
        return None
    left, top, width, height = object_box(None, runs)
    extent = np.array([[left, top, left + width, top + height]], np.float32)
    if iou_matrix(np.array([box], np.float32), extent)[0, 0] < _LEAST_AGREEMENT:
        problems.note("unfit_mask", place)
        return None
    return None if mask_area(runs) == width * height else str(runs["counts"])


def _is_turned_box(segmentation: object) -> bool:
    """True for one polygon of four corners that is a rectangle."""
    if not isinstance(segmentation, list):
        return False
    polygons = segmentation if isinstance(segmentation[0], list) else [segmentation]
    if len(polygons) != 1 or len(polygons[0]) != 8:
        return False
    corners: NDArray[np.float32] = np.array(polygons[0], np.float32).reshape(4, 2)
    (_, (one, other), _) = cv2.minAreaRect(corners)
    return bool(cv2.contourArea(corners) >= _RECTANGLE * one * other)
