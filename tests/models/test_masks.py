from __future__ import annotations

import numpy as np
import pytest

from edgeloop.models.detections import Detections
from edgeloop.models.masks import Masks


def two() -> Masks:
    """A bar of 4x3 px at (1, 2) and an object without pixels, in an image of 10x8 px."""
    windows = np.ones((3, 4), np.bool_), np.zeros((0, 0), np.bool_)
    return Masks(windows, np.array([[1, 2], [0, 0]], np.int64), (10, 8))


def test_masks_of_a_part_take_their_place_in_the_image() -> None:
    placed = two().placed((30, 20), (100, 50))
    assert placed.size == (100, 50)
    assert placed.to_array()[0, 22:25, 31:35].all()
    assert placed.area.tolist() == [12, 0]


def test_masks_of_one_object_are_united() -> None:
    further = two().placed((3, 1), (20, 20))
    both = Masks.concatenate([two().placed((0, 0), (20, 20)), further])
    united = both.united([[0, 2], [1]])
    expected = both.to_array()[[0, 2]].any(axis=0)
    assert np.array_equal(united.to_array()[0], expected)
    assert united.area.tolist() == [12 + 12 - 2, 0]
    assert len(both[:0].united([])) == 0


@pytest.mark.parametrize("size", [(30, 24), (20, 8), (5, 4), (2, 1)])
def test_masks_are_scaled_with_their_image(size: tuple[int, int]) -> None:
    scaled = two().scaled(size)
    x = ((np.arange(size[0]) + 0.5) * 10 / size[0]).astype(int)
    y = ((np.arange(size[1]) + 0.5) * 8 / size[1]).astype(int)
    assert scaled.size == size
    assert np.array_equal(scaled.to_array(), two().to_array()[:, y][:, :, x])


def test_whole_masks_are_drawn_at_their_windows() -> None:
    whole = two().to_array()
    assert whole.shape == (2, 8, 10)
    assert whole[0, 2:5, 1:5].all()
    assert whole.sum(axis=(1, 2)).tolist() == two().area.tolist() == [12, 0]


def test_outlines_are_in_pixels_of_the_image() -> None:
    (bar,), nothing = two().outlines()
    assert bar.min(axis=0).tolist() == [1, 2]
    assert bar.max(axis=0).tolist() == [4, 4]
    assert nothing == []


def test_the_largest_part_of_an_outline_is_first() -> None:
    window = np.zeros((20, 20), np.bool_)
    window[:3, :3] = window[8:, 8:] = True
    ((large, small),) = Masks((window,), np.zeros((1, 2), np.int64), (20, 20)).outlines()
    assert large.min() == 8
    assert small.max() == 2


@pytest.mark.parametrize("rows", [[1, 0], np.array([True, False]), slice(1, None)])
def test_rows_are_selected_as_in_the_detections(rows: list[int]) -> None:
    found = Detections(np.zeros((2, 4), np.float32), np.ones(2, np.float32), np.arange(2), masks=two())
    chosen = found[rows]
    assert chosen.masks is not None
    assert chosen.masks.area.tolist() == [[12, 0][row] for row in chosen.class_id]


@pytest.mark.parametrize(
    ("corner", "size", "message"),
    [
        pytest.param([7, 2], (10, 8), "beyond the image", id="right edge"),
        pytest.param([1, 6], (10, 8), "beyond the image", id="lower edge"),
        pytest.param([-1, 2], (10, 8), "beyond the image", id="left edge"),
    ],
)
def test_a_window_is_inside_the_image(corner: list[int], size: tuple[int, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Masks((np.ones((3, 4), np.bool_),), np.array([corner], np.int64), size)


def test_as_many_masks_as_detections() -> None:
    with pytest.raises(ValueError, match="expected 1, got 2"):
        Detections(np.zeros((1, 4), np.float32), np.ones(1, np.float32), np.zeros(1, np.int64), masks=two())


@pytest.mark.parametrize(
    ("corner", "shape", "expected"),
    [
        pytest.param((1, 2), (3, 4), 1, id="the same"),
        pytest.param((3, 2), (3, 4), 6 / 18, id="half to the right"),
        pytest.param((1, 2), (2, 2), 4 / 12, id="a part of it"),
        pytest.param((5, 2), (3, 4), 0, id="side by side"),
        pytest.param((0, 0), (0, 0), 0, id="nothing"),
    ],
)
def test_masks_overlap_row_by_row(corner: tuple[int, int], shape: tuple[int, int], expected: float) -> None:
    windows = np.ones(shape, np.bool_), np.zeros((0, 0), np.bool_)
    other = Masks(windows, np.array([corner, (3, 3)], np.int64), (10, 8))
    assert two().iou(other) == pytest.approx([expected, 1])
    assert other.iou(two()) == pytest.approx([expected, 1])
