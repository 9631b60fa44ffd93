"""Outlines fill to the masks that they were traced from."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from pycocotools import mask as rle

from edgeloop.labeling.candidates.mask_outline import trace_outline

Mask = NDArray[np.bool_]


def drawn(*shapes: tuple[str, tuple[int, ...]], size: tuple[int, int] = (60, 80)) -> Mask:
    """Draw disks (x, y, radius) and rectangles (x1, y1, x2, y2); a "-" before the name erases."""
    canvas = np.zeros(size, np.uint8)
    for name, numbers in shapes:
        color = int(name[0] != "-")
        if name.endswith("disk"):
            cv2.circle(canvas, numbers[:2], numbers[2], color, -1)
        else:
            x1, y1, x2, y2 = numbers
            canvas[y1:y2, x1:x2] = color
    return canvas.astype(bool)


def filled(polygon: NDArray[np.float64], size: tuple[int, ...]) -> Mask:
    (runs,) = rle.frPyObjects([polygon.ravel().tolist()], *size)
    return np.asarray(rle.decode(runs), bool)


def iou(one: Mask, other: Mask) -> float:
    return np.count_nonzero(one & other) / np.count_nonzero(one | other)


@pytest.mark.parametrize(
    ("mask", "least_iou", "most_points"),
    [
        pytest.param(drawn(("disk", (40, 30, 25))), 0.97, 40, id="disk"),
        pytest.param(drawn(("box", (10, 10, 50, 40))), 1, 12, id="rectangle"),
        pytest.param(drawn(("box", (10, 10, 40, 20)), ("box", (10, 10, 20, 40))), 0.97, 16, id="L"),
        pytest.param(drawn(("disk", (40, 30, 25)), ("-disk", (40, 30, 12))), 0.97, 60, id="ring"),
        pytest.param(drawn(("disk", (15, 30, 10)), ("box", (50, 10, 70, 40))), 0.97, 40, id="two parts"),
        pytest.param(drawn(("box", (10, 10, 13, 13))), 1, 12, id="nine pixels"),
        pytest.param(drawn(("box", (10, 10, 30, 11))), 1, 10, id="one row"),
        pytest.param(drawn(("box", (4, 5, 5, 6))), 1, 4, id="one pixel"),
        pytest.param(drawn(("box", (0, 0, 80, 60))), 1, 8, id="the whole image"),
    ],
)
def test_a_mask_is_kept(mask: Mask, least_iou: float, most_points: int) -> None:
    polygon = trace_outline(mask)
    assert iou(filled(polygon, mask.shape), mask) >= least_iou
    assert 4 <= len(polygon) <= most_points
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    assert polygon.min(axis=0).tolist() == [columns[0], rows[0]]
    assert polygon.max(axis=0).tolist() == [columns[-1] + 1, rows[-1] + 1]


def test_specks_and_pinholes_are_left_out() -> None:
    mask = drawn(("box", (10, 10, 50, 40)), ("-box", (20, 20, 22, 22)), ("box", (70, 50, 72, 52)))
    polygon = trace_outline(mask)
    np.testing.assert_array_equal(filled(polygon, mask.shape), drawn(("box", (10, 10, 50, 40))))


def test_a_slanted_border_is_one_line() -> None:
    half = np.tri(50, dtype=bool)
    assert len(trace_outline(half)) <= 8


def test_no_pixel_has_no_outline() -> None:
    assert trace_outline(np.zeros((4, 6), bool)).shape == (0, 2)
