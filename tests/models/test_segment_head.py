from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgeloop.models.errors import ModelError
from edgeloop.models.heads import cell_count, decode, decode_rows
from edgeloop.models.heads.segment import draw_masks
from edgeloop.models.letterbox import Letterbox

SIZE = (320, 256)
OPTIONS: dict[str, Any] = {"input_size": SIZE, "confidence": 0.3, "iou": 0.6}


def answer(rows: dict[int, list[float]], prototypes: np.ndarray) -> list[np.ndarray]:
    """Outputs with two classes, in which these cells have these values and the others nothing."""
    dense = np.zeros((1, 6 + prototypes.shape[0], cell_count(SIZE)), np.float32)
    for cell, row in rows.items():
        dense[0, :, cell] = row
    return [dense, prototypes[None].astype(np.float32)]


def disc(center: tuple[float, float], radius: float) -> np.ndarray:
    """Distance to a circle in pixels of the input, positive within, at the centers of cells (64, 80)."""
    y, x = (np.mgrid[:64, :80] + 0.5) * 4
    return radius - np.hypot(x - center[0], y - center[1])


def test_each_mask_is_that_of_its_own_cell() -> None:
    prototypes = np.stack((disc((80, 100), 30), disc((200, 100), 20)))
    outputs = answer(
        {
            40: [80, 100, 64, 64, 0.5, 0, 1, 0],
            7: [200, 100, 48, 48, 0, 0.9, 0, 1],
            8: [9, 9, 9, 9, 0.1, 0, 1, 1],
        },
        prototypes,
    )
    found, cells = decode_rows("segment", outputs, **OPTIONS)
    assert cells.tolist() == [7, 40]
    assert found.class_id.tolist() == [1, 0]
    assert found.xyxy.tolist() == [[176, 76, 224, 124], [48, 68, 112, 132]]
    masks = draw_masks(outputs, cells, Letterbox.fit(SIZE, SIZE), found.xyxy)
    assert masks.area.tolist() == pytest.approx([np.pi * 400, np.pi * 900], rel=0.01)
    assert decode("segment", outputs, **OPTIONS).xyxy.tolist() == found.xyxy.tolist()


@pytest.mark.parametrize(
    ("source", "ways"),
    [
        pytest.param((1280, 720), {}, id="padded above and below"),
        pytest.param((301, 700), {}, id="padded at the sides, odd"),
        pytest.param((640, 256), {"stretched": True}, id="stretched"),
        pytest.param((160, 128), {}, id="enlarged"),
    ],
)
def test_a_mask_lies_where_the_object_is_in_the_source(
    source: tuple[int, int], ways: dict[str, bool]
) -> None:
    letterbox = Letterbox.fit(source, SIZE, **ways)
    outputs = answer({3: [160, 128, 90, 90, 0.8, 0, 1]}, disc((160, 128), 40)[None])
    xyxy_src = letterbox.to_source(np.array([[115, 83, 205, 173]], np.float32))
    mask = draw_masks(outputs, np.array([3]), letterbox, xyxy_src).to_array()[0]
    y, x = np.nonzero(mask)
    corners = np.stack((x, y, x + 1, y + 1), 1)
    centers = letterbox.to_model(corners.astype(np.float32)).reshape(-1, 2, 2).mean(1)
    distance = np.hypot(*(centers - (160, 128)).T)
    scale = np.divide(letterbox.resized_size, source).prod()
    assert distance.max() < 40.5
    assert mask.sum() * scale == pytest.approx(np.pi * 1600, rel=0.02)


def test_a_mask_ends_at_its_box_and_at_the_image() -> None:
    everywhere = np.ones((1, 64, 80))
    outputs = answer({0: [10, 10, 40, 40, 0.8, 0, 1], 1: [100, 50, 20.5, 10, 0.7, 0, 1]}, everywhere)
    boxes = np.array([[0, 0, 30, 30], [89.75, 45, 110.25, 55]], np.float32)
    masks = draw_masks(outputs, np.array([0, 1]), Letterbox.fit(SIZE, SIZE), boxes)
    assert masks.corners.tolist() == [[0, 0], [89, 45]]
    assert [window.shape for window in masks.windows] == [(30, 30), (10, 22)]
    assert all(window.all() for window in masks.windows)


def test_a_box_without_area_has_an_empty_mask() -> None:
    outputs = answer({0: [10, 10, 40, 40, 0.8, 0, 1]}, np.ones((1, 64, 80)))
    boxes = np.array([[320, 5, 320, 9]], np.float32)
    assert draw_masks(outputs, np.array([0]), Letterbox.fit(SIZE, SIZE), boxes).area.tolist() == [0]


def test_half_precision_gives_the_same_mask() -> None:
    outputs = answer({0: [80, 100, 64, 64, 0.8, 0, 0.5]}, disc((80, 100), 30)[None])
    boxes = np.array([[48, 68, 112, 132]], np.float32)
    whole, half = (
        draw_masks(
            [output.astype(dtype) for output in outputs], np.array([0]), Letterbox.fit(SIZE, SIZE), boxes
        ).to_array()
        for dtype in (np.float32, np.float16)
    )
    assert (whole != half).sum() <= 4
    assert whole.sum() > 2700


@pytest.mark.parametrize(
    "shapes",
    [
        pytest.param([(1, 38, 1680)], id="no prototypes"),
        pytest.param([(1, 32, 64, 80), (1, 38, 1680)], id="prototypes first"),
        pytest.param([(1, 36, 1680), (1, 32, 64, 80)], id="no class"),
        pytest.param([(2, 38, 1680), (1, 32, 64, 80)], id="two images"),
    ],
)
def test_outputs_of_another_shape_are_refused(shapes: list[tuple[int, ...]]) -> None:
    with pytest.raises(ModelError, match="segment head: expected outputs"):
        decode("segment", [np.zeros(shape, np.float32) for shape in shapes], **OPTIONS)
