"""Outlines of the labels of a frame, in a dataset that is labeled for masks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edgeloop.edge.labels.label_lines import parse_label_lines
from edgeloop.edge.labels.label_problems import LabelProblems
from edgeloop.labeling.dataset.apply_decisions import read_task
from edgeloop.labeling.dataset.read import INSTANCES
from edgeloop.models.boxes import iou_matrix
from edgeloop.models.task import Task

__all__ = ["NamedBox", "Polygons", "label_outlines", "labels_task"]

Polygons = tuple[tuple[float, ...], ...]
"""Outlines of an object's parts, each x, y, x, y, ... in pixels of the frame; none if unknown."""

NamedBox = tuple[str, tuple[float, float, float, float]]
"""Class name, and corners x1, y1, x2, y2 in pixels of the frame."""

_SAME_IOU = 0.5  # of a label's box and the extent of its polygon


def labels_task(dataset: Path) -> Task | None:
    """Task that the labels of a dataset are for; None if there is none.

    Raises:
        DataError: Its instances.json cannot be read.
    """
    return read_task(dataset) if (dataset / INSTANCES).is_file() else None


def label_outlines(
    dataset: Path,
    frame: str,
    size: tuple[int, int],
    names: Sequence[str],
    boxes: Sequence[NamedBox],
) -> list[Polygons]:
    """Find the polygons that a detector learns from for boxes of a frame.

    Args:
        dataset: Folder that `edgeloop label` wrote.
        frame: Name of the frame.
        size: (width, height) of the frame, px.
        names: Class names of the dataset by class number.
        boxes: Its labels.

    Returns:
        Polygons of each box; none of a box that changed since, or if the dataset has boxes only.

    Raises:
        DataError: Its instances.json cannot be read.
    """
    found: list[Polygons] = [()] * len(boxes)
    path = _text_of(dataset, frame) if labels_task(dataset) == "segment" else None
    if path is None or not boxes:
        return found
    rows = parse_label_lines(
        path.read_bytes(), path, names, LabelProblems(strict=False), named_in=INSTANCES, outlines="some"
    )
    outlines = [outline * size for outline in rows.outlines or ()]
    extents = [(*each.min(0), *each.max(0)) if len(each) else (0, 0, 0, 0) for each in outlines]
    corners = np.array([xyxy for _, xyxy in boxes], np.float32)
    overlaps = iou_matrix(corners, np.array(extents, np.float32).reshape(-1, 4))
    for place, (name, _) in enumerate(boxes):
        same = [names[class_id] == name for class_id in rows.class_id.tolist()]
        likely = np.where(same, overlaps[place], 0)
        if len(likely) and likely.max() >= _SAME_IOU:
            found[place] = (tuple(outlines[int(likely.argmax())].ravel().round(1).tolist()),)
    return found


def _text_of(dataset: Path, frame: str) -> Path | None:
    """File of the labels of a frame in either part of a dataset; None if it is in none."""
    paths = (dataset / "labels" / split / Path(frame).with_suffix(".txt") for split in ("train", "val"))
    return next((path for path in paths if path.is_file()), None)
