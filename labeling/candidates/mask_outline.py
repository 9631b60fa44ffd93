"""Outline of a mask as one polygon, as YOLO's text files take it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as rle

__all__ = ["trace_outline"]

_LEAST_PART = 0.01  # of the mask's pixels: smaller parts and holes are left out
_EPSILONS_PX = (1.0, 0.5, 0.25)  # of the simplification, the first that keeps the mask
_LEAST_IOU = 0.97


def trace_outline(bits: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Trace a mask with one closed polygon, which fills to the same pixels again.

    Parts and holes are joined to it by lines that go there and back, and an even-odd fill leaves out the
    holes. The outermost pixels are not simplified away: the polygon is as wide and as high as the mask.

    Args:
        bits: bool (h, w).

    Returns:
        (P, 2) x, y with P >= 4, in pixels: 0 is the near edge of the first pixel, w the far edge of the last.
        P is 0 for a mask without pixels.
    """
    loops = [*_loops(bits)]
    if not loops:
        return np.empty((0, 2))
    for epsilon in _EPSILONS_PX:
        polygon = _joined([_simplified(loop, epsilon) for loop in loops])
        if len(polygon) >= 3 and _iou(polygon, bits) > _LEAST_IOU:
            return polygon
    return _joined(loops)


def _loops(bits: NDArray[np.bool_]) -> Iterator[NDArray[np.float64]]:
    """Borders of the parts and holes, the largest first: the middles of the pixels' edges on them."""
    height, width = bits.shape
    # A grid with a node at the corners, edges and center of each pixel. Its border has corners, too: through
    # the middles of edges alone, the steps of a slanted border are a straight line.
    nodes = np.zeros((2 * height + 1, 2 * width + 1), np.uint8)
    for down in range(3):
        for right in range(3):
            nodes[down : down + 2 * height : 2, right : right + 2 * width : 2] |= bits
    found, _ = cv2.findContours(nodes, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    sized = [(cv2.contourArea(contour) / 4, contour.reshape(-1, 2)) for contour in found]
    sized.sort(key=lambda one: -one[0])
    least = _LEAST_PART * np.count_nonzero(bits)
    for place, (area, contour) in enumerate(sized):
        if place == 0 or area >= least:
            yield contour[contour.sum(axis=1) % 2 == 1] / 2


def _simplified(loop: NDArray[np.float64], epsilon: float) -> NDArray[np.float64]:
    """Leave out points that are within `epsilon` of the line without them, and none at the ends of the sides.

    A side is what is outermost to the left, top, right or bottom.
    """
    ends_of_sides = set[int]()
    for axis in range(2):
        for outermost in (loop[:, axis].min(), loop[:, axis].max()):
            side = np.flatnonzero(loop[:, axis] == outermost)
            along = loop[side, 1 - axis]
            ends_of_sides |= {int(side[along.argmin()]), int(side[along.argmax()])}
    first, *others = sorted(ends_of_sides)
    turned = np.roll(loop, -first, axis=0)
    ends = [0, *(place - first for place in others), len(loop)]
    closed = np.concatenate((turned, turned[:1])).astype(np.float32)
    arcs = [
        cv2.approxPolyDP(closed[start : end + 1, None], epsilon, closed=False)[:-1, 0]
        for start, end in pairwise(ends)
    ]
    return np.concatenate(arcs).astype(np.float64)


def _joined(loops: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """One polygon of several: each goes in at the two points that are closest, and back."""
    polygon, *others = loops
    for other in others:
        distances = ((polygon[:, None] - other[None]) ** 2).sum(axis=2)
        here, there = np.unravel_index(distances.argmin(), distances.shape)
        round_trip = (*other[there:], *other[: there + 1])
        polygon = np.array([*polygon[: here + 1], *round_trip, *polygon[here:]])
    return polygon


def _iou(polygon: NDArray[np.float64], bits: NDArray[np.bool_]) -> float:
    (drawn,) = rle.frPyObjects([polygon.ravel().tolist()], *bits.shape)
    own = rle.encode(np.asfortranarray(bits, np.uint8))
    return float(rle.iou([drawn], [own], [0])[0, 0])
