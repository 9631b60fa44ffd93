"""Text files of labels, as YOLO reads them: boxes or polygons."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as rle

from edgeloop.labeling.candidates.mask_outline import trace_outline
from edgeloop.labeling.ledger import FrameResult, Label
from edgeloop.models.task import Task

__all__ = ["LabelText", "label_text", "outline_of"]

_MOVED_SHARE = 0.15  # of the mask's width or height, which moves with its end


class LabelText(NamedTuple):
    """Text file of a frame's labels.

    Attributes:
        text: A line a label.
        rectangles: Labels without a mask, whose polygon is the rectangle of their box.
    """

    text: str
    rectangles: int


def label_text(result: FrameResult, task: Task) -> LabelText:
    """Write the text file of a frame's labels: boxes, or for "segment" polygons."""
    size = np.array([result.width, result.height], np.float64)
    lines, rectangles = [], 0
    for label in result.labels:
        if task == "segment":
            polygon = outline_of(label, result)
            rectangles += polygon is None
            numbers = (_rectangle(label) if polygon is None else polygon) / size
        else:
            near, far = np.array(label.xyxy).reshape(2, 2) / size
            numbers = np.stack(((near + far) / 2, far - near))
        lines.append(" ".join([str(label.class_id), *(f"{number:.6f}" for number in numbers.ravel())]) + "\n")
    return LabelText("".join(lines), rectangles)


def outline_of(label: Label, result: FrameResult) -> NDArray[np.float64] | None:
    """Outline of a label: its mask, whose ends are moved to its box.

    Detectors and a person find the ends of an object better than SAM does, and who learns masks takes
    their extent for the box.

    Returns:
        (P, 2) x, y in pixels of the frame, 0 to its width and height; None if the label has no mask.
    """
    if label.counts is None:
        return None
    runs = {"size": [result.height, result.width], "counts": label.counts.encode("ascii")}
    left, top, width, height = rle.toBbox(runs).astype(int)
    bits = rle.decode(runs)[top : top + height, left : left + width]
    polygon = trace_outline(bits.astype(np.bool_))
    if not len(polygon):
        return None
    corners = np.array(label.xyxy, np.float64).reshape(2, 2)
    return _fit(polygon + np.array([left, top]), corners)


def _fit(polygon: NDArray[np.float64], corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Move the ends of a polygon (P, 2) to the corners (2, 2) of a box, and what is near them with them."""
    low, high = polygon.min(axis=0), polygon.max(axis=0)
    fitted = polygon.copy()
    for gap, inward in ((corners[0] - low, polygon - low), (corners[1] - high, high - polygon)):
        # Twice the gap if the mask is large enough: no point then overtakes another. The other end stays.
        reach = np.clip(2 * np.abs(gap), _MOVED_SHARE * (high - low), high - low)
        fitted += np.maximum(1 - inward / reach, 0) * gap
    return fitted


def _rectangle(label: Label) -> NDArray[np.float64]:
    x1, y1, x2, y2 = label.xyxy
    return np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2)])
