from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from edgeloop.export.learn.mask_targets import FULL, draw_outlines, fill_outline


def _circle(x: float, y: float, radius: float) -> NDArray[np.float32]:
    angle = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    return np.stack((x + radius * np.cos(angle), y + radius * np.sin(angle)), axis=1).astype(np.float32)


def test_a_pixel_belongs_to_the_polygon_around_its_middle() -> None:
    outline = np.array([[1, 1], [3.6, 1], [3.6, 2.4], [1, 2.4]], np.float32)
    assert fill_outline(outline, (0, 0, 5, 4)).tolist() == [
        [0, 0, 0, 0, 0], [0, 1, 1, 1, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0],
    ]  # fmt: skip


def test_a_bridge_between_two_parts_is_not_filled() -> None:
    outline = np.array(
        [[0, 0], [2, 0], [2, 1], [6, 1], [6, 0], [8, 0], [8, 2], [6, 2], [6, 1], [2, 1], [2, 2], [0, 2]],
        np.float32,
    )
    assert fill_outline(outline, (0, 0, 8, 2)).tolist() == [[1, 1, 0, 0, 0, 0, 1, 1]] * 2


@pytest.mark.parametrize("radius", [6.0, 17.3, 40.0])
def test_an_object_keeps_its_area_and_its_place(radius: float) -> None:
    outline = _circle(50.3, 61.7, radius)
    box = np.concatenate((outline.min(axis=0), outline.max(axis=0)))[None]
    (window,), covered = draw_outlines([outline], box, (128, 128))
    left, top, right, bottom = window.tolist()
    share = covered.numpy().reshape(bottom - top, right - left) / FULL
    assert share.sum() * FULL == pytest.approx(np.pi * radius**2, rel=0.02)
    rows, columns = np.mgrid[top:bottom, left:right] * 4 + 2
    assert (share * columns).sum() / share.sum() == pytest.approx(50.3, abs=0.2)
    assert (share * rows).sum() / share.sum() == pytest.approx(61.7, abs=0.2)


def test_what_a_window_of_a_mosaic_cuts_off_is_not_drawn() -> None:
    cut = np.array([[32, 40, 60, 80]], np.float32)  # of a circle from 20 to 60, at x = 32
    (window,), covered = draw_outlines([_circle(40, 60, 20)], cut, (128, 128))
    left, top, right, bottom = window.tolist()
    share = covered.numpy().reshape(bottom - top, right - left)
    assert left == 7
    assert not share[:, 0].any()
    assert share[(60 // 4) - top, 1] == FULL


def test_no_objects_have_no_masks() -> None:
    windows, covered = draw_outlines([], np.zeros((0, 4), np.float32), (64, 64))
    assert windows.shape == (0, 4)
    assert covered.shape == (0,)
