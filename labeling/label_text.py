"""Text files of labels, as YOLO reads them: boxes or outlines."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as rle

from edgeloop.labeling.candidates.mask_outline import trace_outline
from edgeloop.labeling.ledger import FrameResult, Label
from edgeloop.models.task import Task

__all__ = ["LabelText", "label_text", "outline_of"]


class LabelText(NamedTuple):
    """Text file of a frame's labels.

    Attributes:
        text: A line a label.
        rectangles: Labels without a mask in their box, whose outline is the rectangle of their box.
    """

    text: str
    rectangles: int


def label_text(result: FrameResult, task: Task) -> LabelText:
    """Write the text file of a frame's labels: boxes, or for "segment" outlines."""
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
    """Outline of a label: its mask within its box.

    Returns:
        (P, 2) x, y in pixels of the frame, 0 to its width and height; None if the label has no mask in its
        box.
    """
    if label.counts is None:
        return None
    bits = rle.decode({"size": [result.height, result.width], "counts": label.counts.encode("ascii")})
    x1, y1, x2, y2 = label.xyxy
    left, top = max(math.floor(x1), 0), max(math.floor(y1), 0)
    polygon = trace_outline(bits[top : math.ceil(y2), left : math.ceil(x2)].astype(np.bool_))
    if not len(polygon):
        return None
    inside: NDArray[np.float64] = np.clip(polygon + np.array([left, top]), (x1, y1), (x2, y2))
    return inside


def _rectangle(label: Label) -> NDArray[np.float64]:
    x1, y1, x2, y2 = label.xyxy
    return np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2)])
