"""Search of large images tile by tile, for objects that are too small in the scaled-down image."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import numpy as np
from numpy.typing import NDArray

from edgeloop.models.boxes import iou_matrix
from edgeloop.models.detections import Detections
from edgeloop.models.masks import Masks

__all__ = ["Region", "find_regions", "merge_regions"]

Region = tuple[int, int, int, int]
"""Part of an image, xyxy in whole pixels."""

_SAME_IOU = 0.4
_COVERED = 0.5
_CUT_PX = 2.0
_ALIGNED = 0.7


def find_regions(size: tuple[int, int], tile: int | None, overlap: float) -> list[Region]:
    """Divide an image into tiles that overlap.

    Args:
        size: (width, height) of the image in pixels.
        tile: Side of a tile in pixels; None for no tiles.
        overlap: Share of a tile that its neighbor repeats at least.

    Returns:
        The whole image, then its tiles, evenly spaced; the whole image alone if it is no larger than a tile.
    """
    width, height = size
    if tile is None or max(width, height) <= tile:
        return [(0, 0, width, height)]
    columns, rows = _starts(width, tile, overlap), _starts(height, tile, overlap)
    tiles = [(x, y, min(x + tile, width), min(y + tile, height)) for y in rows for x in columns]
    return [(0, 0, width, height), *tiles]


def _starts(length: int, tile: int, overlap: float) -> list[int]:
    if length <= tile:
        return [0]
    count = ceil((length - tile) / max(tile * (1 - overlap), 1)) + 1
    return [round(number * (length - tile) / (count - 1)) for number in range(count)]


def merge_regions(found: Sequence[Detections], regions: Sequence[Region], *, limit: int) -> Detections:
    """Merge what was found in the regions of an image, so that each object is there once.

    A region's own detections never suppress each other, its non-maximum suppression has done that. A box that
    an edge of its tile cuts gives way to any box that covers it, and two such halves are joined, also their
    masks.

    Args:
        found: Detections of each region, in pixels of the image; with masks of all regions, or of none.
        regions: The regions.
        limit: Maximum number of detections, the most confident ones.

    Returns:
        The merged detections, most confident first.
    """
    xyxy = np.concatenate([each.xyxy for each in found])
    confidence = np.concatenate([each.confidence for each in found])
    class_id = np.concatenate([each.class_id for each in found])
    origin = np.repeat(np.arange(len(found)), [len(each) for each in found])
    cuts = np.concatenate([_cuts(each.xyxy, regions, number) for number, each in enumerate(found)])
    cut: NDArray[np.bool_] = np.logical_or.reduce(cuts, axis=1)
    left = np.lexsort((-confidence, cut))  # whole boxes first
    kept: list[int] = []
    parts: dict[int, list[int]] = {}
    while left.size:
        first, left = int(left[0]), left[1:]
        kept.append(first)
        parts[first] = [first]
        joins = True
        while joins:  # a joined box may reach a further tile
            rivals = left[(origin[left] != origin[first]) & (class_id[left] == class_id[first])]
            same = np.greater(iou_matrix(xyxy[first : first + 1], xyxy[rivals])[0], _SAME_IOU)
            covered = cut[rivals] & (_covered(xyxy[rivals], xyxy[first]) > _COVERED)
            halves = _continues(xyxy[rivals], cuts[rivals], xyxy[first], cuts[first])
            left = left[~np.isin(left, rivals[same | covered | halves])]
            joins = bool(halves.any())
            joined = np.concatenate((xyxy[rivals[halves]], xyxy[first : first + 1]))
            xyxy[first] = *joined[:, :2].min(axis=0), *joined[:, 2:].max(axis=0)
            cuts[first] |= cuts[rivals[halves]].any(axis=0)
            parts[first] += rivals[halves].tolist()
    kept.sort(key=lambda row: -confidence[row])
    kept = kept[:limit]
    masks = [each.masks for each in found if each.masks is not None]
    return Detections(
        xyxy[kept],
        confidence[kept],
        class_id[kept],
        masks=Masks.concatenate(masks).united([parts[row] for row in kept]) if masks else None,
    )


def _cuts(xyxy: NDArray[np.float32], regions: Sequence[Region], number: int) -> NDArray[np.bool_]:
    """Sides of boxes, (N, 4), at an edge of their region inside the image."""
    image, region = np.array(regions[0]), np.array(regions[number])
    cuts: NDArray[np.bool_] = (np.abs(xyxy - region) <= _CUT_PX) & (region != image)
    return cuts


def _covered(xyxy: NDArray[np.float32], by: NDArray[np.float32]) -> NDArray[np.float32]:
    """Share of each box that another covers, (N,)."""
    sides = np.minimum(xyxy[:, 2:], by[2:]) - np.maximum(xyxy[:, :2], by[:2])
    area = (xyxy[:, 2:] - xyxy[:, :2]).prod(axis=1)
    return np.asarray(np.maximum(sides, 0).prod(axis=1) / np.maximum(area, np.float32(1e-6)), np.float32)


def _continues(
    xyxy: NDArray[np.float32], cuts: NDArray[np.bool_], box: NDArray[np.float32], box_cuts: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Tell the boxes, (N,), that another tile cut at the opposite side and that reach into this one."""
    low = np.maximum(xyxy[:, :2], box[:2])
    high = np.minimum(xyxy[:, 2:], box[2:])
    outer = np.maximum(xyxy[:, 2:], box[2:]) - np.minimum(xyxy[:, :2], box[:2])
    aligned = (high - low) / outer >= _ALIGNED
    opposite = (cuts[:, :2] & box_cuts[2:]) | (cuts[:, 2:] & box_cuts[:2])
    meets = opposite & (high > low)
    return np.asarray((meets[:, 0] & aligned[:, 1]) | (meets[:, 1] & aligned[:, 0]))
