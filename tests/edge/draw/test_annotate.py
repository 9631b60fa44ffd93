"""Drawing: on a copy, within the image, readable."""

from __future__ import annotations

import numpy as np
import pytest

from edgeloop.edge.draw.annotate import annotate, color_of
from edgeloop.models.detections import Detections
from tests.masked import masked


def detections(*boxes: tuple[float, float, float, float]) -> Detections:
    count = len(boxes)
    return Detections(
        np.array(boxes, np.float32).reshape(count, 4),
        np.linspace(0.9, 0.5, count, dtype=np.float32),
        np.arange(count, dtype=np.int64) % 3,
    )


NAMES = ("bolt", "nut", "gear")


def test_the_image_itself_is_left_alone() -> None:
    image = np.full((240, 320, 3), 128, np.uint8)
    drawn = annotate(image, detections((50, 60, 150, 160)), NAMES)
    assert (image == 128).all()
    assert drawn.shape == image.shape
    assert (drawn != image).any()


def test_nothing_found_draws_nothing() -> None:
    image = np.full((240, 320, 3), 128, np.uint8)
    assert np.array_equal(annotate(image, Detections.empty(), NAMES), image)


def test_a_box_is_drawn_in_the_color_of_its_class_where_it_is() -> None:
    drawn = annotate(np.full((240, 320, 3), 128, np.uint8), detections((50, 60, 150, 160)), NAMES)
    assert tuple(drawn[110, 50]) == color_of(0)
    assert tuple(drawn[160, 100]) == color_of(0)
    assert (drawn[90:130, 80:120] == 128).all(), "the object itself stays visible"


def test_a_small_object_in_front_of_a_large_one_keeps_its_outline() -> None:
    drawn = annotate(
        np.full((240, 320, 3), 128, np.uint8), detections((100, 100, 140, 140), (60, 60, 300, 141)), NAMES
    )
    assert tuple(drawn[140, 120]) == color_of(0)


@pytest.mark.parametrize(
    "box",
    [
        pytest.param((0, 0, 320, 240), id="whole image"),
        pytest.param((300, 0, 320, 5), id="in the corner"),
        pytest.param((-30, -30, 400, 400), id="beyond the image"),
        pytest.param((100, 100, 100, 100), id="without area"),
    ],
)
@pytest.mark.parametrize("shape", [(240, 320, 3), (8, 8, 3), (2160, 3840, 3)])
def test_any_box_can_be_drawn_on_any_image(
    box: tuple[float, float, float, float], shape: tuple[int, int, int]
) -> None:
    image = np.full(shape, 128, np.uint8)
    assert annotate(image, detections(box), NAMES).shape == shape


def test_lines_and_labels_grow_with_the_image() -> None:
    shares = []
    for scale in (1, 3):
        image = np.full((360 * scale, 640 * scale, 3), 128, np.uint8)
        box = (100 * scale, 100 * scale, 300 * scale, 300 * scale)
        shares.append((annotate(image, detections(box), NAMES) != 128).any(axis=2).mean())
    assert shares[1] == pytest.approx(shares[0], rel=0.5)


def test_labels_of_a_crowd_do_not_cover_each_other() -> None:
    image = np.full((480, 640, 3), 128, np.uint8)
    crowd = [(300.0 + 2 * i, 200.0 + 2 * i, 340.0 + 2 * i, 240.0 + 2 * i) for i in range(40)]
    drawn = annotate(image, detections(*crowd), NAMES)
    assert (drawn != 128).any(axis=2).mean() < 0.15


def test_pixels_of_a_mask_are_tinted_and_those_of_its_box_beside_it_are_not() -> None:
    image = np.full((240, 320, 3), 128, np.uint8)
    corner = np.zeros((240, 320), np.bool_)
    corner[60:160, 50:80] = corner[130:160, 50:150] = True
    found = masked(corner)
    drawn = annotate(image, found, NAMES)
    assert (image == 128).all()
    expected = np.array([128 * 0.55 + 0.45 * channel for channel in color_of(0)])
    np.testing.assert_allclose(drawn[110, 65], expected, atol=1)
    np.testing.assert_allclose(drawn[145, 120], expected, atol=1)
    assert (drawn[80:120, 90:140] == 128).all(), "in the box, not of the object"
    assert tuple(drawn[110, 79]) == color_of(0), "the outline"
    assert tuple(drawn[100, 149]) != (128, 128, 128), "the box is still there"
    assert np.array_equal(drawn[170:], image[170:])


def test_masks_at_the_edge_and_without_pixels_can_be_drawn() -> None:
    image = np.full((40, 60, 3), 128, np.uint8)
    edge, line, nothing = (np.zeros((40, 60), np.bool_) for _ in range(3))
    edge[:, 50:] = line[20, 3:40] = True
    boxes = np.array([[50, 0, 60, 40], [3, 20, 40, 21], [0, 0, 0, 0]], np.float32)
    drawn = annotate(image, masked(edge, line, nothing, boxes=boxes), NAMES)
    assert (drawn != image).any()
