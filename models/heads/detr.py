"""Heads of the DETR family: RT-DETR, D-FINE, DEIM, RF-DETR; a set of boxes that needs no NMS.

Exporters write it in one of three forms:

- labels (1, K), boxes (1, K, 4) xyxy in pixels of the size that a second input states, scores (1, K):
  RT-DETR's, D-FINE's and DEIM's own code;
- boxes (1, K, 4) cxcywh as shares of the input and logits (1, K, classes): transformers, RF-DETR;
- one output of such boxes, followed by (score, class) or by one score per class: Ultralytics.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeloop.models.boxes import cxcywh_to_xyxy
from edgeloop.models.detections import Detections
from edgeloop.models.errors import ModelError

__all__ = ["Form", "decode", "find_form"]

Shape = Sequence[int | None]


@dataclass(frozen=True, slots=True)
class Form:
    """Places of the outputs.

    Attributes:
        boxes: Number of the output with boxes.
        scores: Number of the output with scores or logits; that of the boxes if there is one output.
        labels: Number of the output with classes; None if scores or logits tell them.
        classes: Number of classes; None if unknown.
    """

    boxes: int
    scores: int
    labels: int | None = None
    classes: int | None = None


def find_form(shapes: Sequence[Shape], integer: Sequence[bool], names: Sequence[str] = ()) -> Form | None:
    """Find the form of the outputs.

    Args:
        shapes: Shapes of the outputs, None for an open axis.
        integer: True for each output of integers.
        names: Names of the outputs; tell boxes from the logits of four classes.

    Returns:
        The form; None if no exporter of the family writes such outputs.
    """
    if len(shapes) == 1 and len(shapes[0]) == 3 and not integer[0]:
        columns = shapes[0][2]
        return Form(0, 0) if columns is None or columns > 4 else None
    boxes = [number for number, shape in enumerate(shapes) if len(shape) == 3 and shape[2] == 4]
    if len(shapes) == 2 and len(boxes) == 2:
        boxes = [number for number in boxes if names and ("box" in names[number] or names[number] == "dets")]
    if len(boxes) != 1 or integer[boxes[0]]:
        return None
    others = [number for number in range(len(shapes)) if number != boxes[0]]
    if any(not _equal(shapes[number][:2], shapes[boxes[0]][:2]) for number in others):
        return None
    if len(others) == 1 and len(shapes[others[0]]) == 3 and not integer[others[0]]:
        return Form(boxes[0], others[0], classes=shapes[others[0]][2])
    if len(others) == 2 and all(len(shapes[number]) == 2 for number in others):
        labels = [number for number in others if integer[number]]
        scores = [number for number in others if not integer[number]]
        if len(labels) == len(scores) == 1:
            return Form(boxes[0], scores[0], labels[0])
    return None


def decode(
    outputs: Sequence[NDArray[np.generic]],
    *,
    input_size: tuple[int, int],
    confidence: float,
    names: Sequence[str] = (),
) -> Detections:
    """Decode the outputs of any form.

    Scores are in [0, 1], logits are those of a sigmoid per class.
    """
    shapes = [output.shape for output in outputs]
    form = find_form(shapes, [output.dtype.kind in "iu" for output in outputs], names)
    if form is None or any(shape[0] != 1 for shape in shapes):
        raise ModelError(
            "detr head: expected outputs labels, boxes and scores, or boxes and logits, or one of both, got "
            f"{' '.join(map(str, shapes))}"
        )
    size = np.tile(np.asarray(input_size, np.float32), 2)
    if form.labels is not None:
        boxes, scores = outputs[form.boxes][0], outputs[form.scores][0].astype(np.float32)
        kept = np.flatnonzero(scores > confidence)
        labels = outputs[form.labels][0, kept].astype(np.int64)
        return Detections(boxes[kept].astype(np.float32), scores[kept], labels)
    boxes = outputs[form.boxes][0, :, :4].astype(np.float32)
    if form.scores == form.boxes:
        table = outputs[0][0, :, 4:].astype(np.float32)
        # Class numbers are whole in every row; the scores of two classes are not.
        if table.shape[1] == 2 and (table[:, 1] == table[:, 1].round()).all():
            scores, labels = table[:, 0], table[:, 1].astype(np.int64)
        else:
            scores, labels = table.max(axis=1, initial=0), table.argmax(axis=1)
    else:
        logits = outputs[form.scores][0].astype(np.float32)
        labels = logits.argmax(axis=1)
        scores = 1 / (1 + np.exp(-np.clip(logits.max(axis=1), -80, 80)))
    kept = np.flatnonzero(scores > confidence)
    return Detections(cxcywh_to_xyxy(boxes[kept]) * size, scores[kept], labels[kept])


def _equal(shape: Shape, other: Shape) -> bool:
    """True if two shapes may be equal once their open axes are known."""
    return len(shape) == len(other) and all(
        None in (a, b) or a == b for a, b in zip(shape, other, strict=True)
    )
