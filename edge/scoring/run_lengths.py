"""Masks as COCO's compressed run lengths, by pycocotools."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from edgeloop.edge.labels.coco_json import object_box
from edgeloop.models.errors import UnavailableError
from edgeloop.models.masks import Masks

__all__ = ["compress_runs", "load_pycocotools", "mask_area", "mask_runs"]


def load_pycocotools() -> tuple[Any, Any, Any]:
    """Load the `COCO` and `COCOeval` of pycocotools and its module of masks.

    Raises:
        UnavailableError: It is not installed.
    """
    try:
        from pycocotools import mask
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError as error:
        raise UnavailableError("scoring needs pycocotools; pip install 'edgeloop[label]'") from error
    return COCO, COCOeval, mask


def mask_runs(masks: Masks) -> list[dict[str, Any]]:
    """Compress the masks of an image.

    Returns:
        For each `size` (height, width of the image in pixels) and `counts`, the run lengths as text.

    Raises:
        UnavailableError: pycocotools is not installed.
    """
    *_, rle = load_pycocotools()
    width, height = masks.size
    runs: list[dict[str, Any]] = []
    for window, (left, top) in zip(masks.windows, masks.corners.tolist(), strict=True):
        # COCO runs down the columns; those beside the window are one run.
        columns = np.zeros((window.shape[1], height), np.bool_)
        columns[:, top : top + window.shape[0]] = window.T
        turns = np.flatnonzero(np.diff(columns.ravel(), prepend=False, append=False)) + left * height
        counts = np.diff(turns, prepend=0, append=width * height)
        raw = {"size": [height, width], "counts": (counts if counts[-1] else counts[:-1]).tolist()}
        runs.append(_as_text(rle.frPyObjects(raw, height, width)))
    return runs


def compress_runs(segmentation: object, size: tuple[int, int] | None) -> dict[str, Any]:
    """Convert a COCO segmentation to compressed run lengths.

    Args:
        segmentation: Polygons in pixels, or run lengths with their `size`.
        size: (width, height) of the image in pixels; None if unknown, then only run lengths have a size.

    Raises:
        ValueError: It is missing, malformed, or of another size than the image. One line.
        UnavailableError: pycocotools is not installed.
    """
    if not isinstance(segmentation, Mapping | list) or not segmentation:
        raise ValueError("segmentation: Field required, polygons or run lengths")
    object_box(None, segmentation)  # pycocotools crashes on what is malformed
    *_, rle = load_pycocotools()
    if isinstance(segmentation, Mapping):
        height, width = segmentation["size"]
        if size is not None and (width, height) != size:
            raise ValueError(f"segmentation: of {width}x{height}, its image is {size[0]}x{size[1]}")
        if isinstance(segmentation["counts"], str):
            return dict(segmentation)
        return _as_text(rle.frPyObjects(dict(segmentation), height, width))
    if size is None:
        raise ValueError("segmentation: polygons need the width and height of their image")
    polygons = segmentation if isinstance(segmentation[0], list) else [segmentation]
    # pycocotools takes four numbers for a box.
    drawn = [polygon for polygon in polygons if polygon and len(polygon) >= 6]
    if not drawn:
        raise ValueError("segmentation: expected a polygon of at least three corners")
    return _as_text(rle.merge(rle.frPyObjects(drawn, size[1], size[0])))


def mask_area(runs: Mapping[str, Any]) -> int:
    """Number of pixels of compressed run lengths."""
    *_, rle = load_pycocotools()
    return int(rle.area(runs))


def _as_text(runs: Mapping[str, Any]) -> dict[str, Any]:
    counts = runs["counts"]
    return {"size": list(runs["size"]), "counts": counts.decode() if isinstance(counts, bytes) else counts}
