"""Motion with and without boxes, in noise, under moving cameras and beside leaves."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgeloop.edge.doubt.uncovered_motion import UncoveredMotion
from edgeloop.models.detections import Detections
from tests.doubtful_frames import HEIGHT, NOTHING, WIDTH, boxes, judge_all, known

Image = NDArray[np.uint8]
FRAMES, SHOWN = 80, 50
_TEXTURE = cv2.GaussianBlur(
    np.random.default_rng(2).integers(0, 256, (2 * HEIGHT, 3 * WIDTH, 1), np.uint8), (0, 0), 3
)
_WALL = cv2.normalize(_TEXTURE, np.empty_like(_TEXTURE), 60, 180, cv2.NORM_MINMAX)


def film(draw: Callable[[Image, int], None] | None = None, *, pan: int = 0) -> list[Image]:
    """Noisy film of a wall, 10 frames a second."""
    generator = np.random.default_rng(1)
    images = []
    for index in range(FRAMES):
        image = np.repeat(_WALL[:HEIGHT, pan * index : pan * index + WIDTH, None], 3, axis=2).copy()
        if draw is not None:
            draw(image, index)
        noise = generator.normal(0, 3, (HEIGHT, WIDTH, 1))
        images.append(np.clip(image + noise, 0, 255).astype(np.uint8))
    return images


def walker(image: Image, index: int) -> None:
    """Dark square that walks through the picture from frame 50 on."""
    if index >= SHOWN:
        x = 8 * (index - SHOWN)
        image[100:130, x : x + 30] = 10


def its_boxes(index: int) -> Detections:
    return boxes((8 * (index - SHOWN), 100)) if index >= SHOWN else NOTHING


def test_a_still_scene_is_in_no_doubt() -> None:
    values = judge_all(UncoveredMotion(), [NOTHING] * FRAMES, images=film())
    assert values[:30] == [None] * 30, "it learns what is usual first"
    assert max(known(values)[31:]) == 0.0


def test_an_object_that_nobody_finds_is_in_doubt() -> None:
    values = known(judge_all(UncoveredMotion(), [NOTHING] * FRAMES, images=film(walker)))
    assert max(values[31:SHOWN]) == 0.0
    assert min(values[SHOWN + 2 :]) > 0.5


def test_an_object_with_a_box_is_in_no_doubt() -> None:
    frames = [its_boxes(index) for index in range(FRAMES)]
    assert max(known(judge_all(UncoveredMotion(), frames, images=film(walker)))[31:]) == 0.0


def test_one_of_two_objects_without_a_box_is_in_doubt() -> None:
    def two(image: Image, index: int) -> None:
        walker(image, index)
        if index >= SHOWN:
            image[30:60, 280 - 8 * (index - SHOWN) : 310 - 8 * (index - SHOWN)] = 240

    frames = [its_boxes(index) for index in range(FRAMES)]
    assert min(known(judge_all(UncoveredMotion(), frames, images=film(two)))[SHOWN + 2 :]) > 0.5


def test_a_moving_camera_gives_no_sign() -> None:
    values = judge_all(UncoveredMotion(), [NOTHING] * FRAMES, images=film()[:40] + film(pan=6)[:40])
    assert values[41:60] == [None] * 19


def test_another_exposure_is_no_motion() -> None:
    images = film()
    for image in images[SHOWN:]:
        image += np.uint8(8)
    assert max(known(judge_all(UncoveredMotion(), [NOTHING] * FRAMES, images=images))[31:]) == 0.0


def test_leaves_that_always_move_are_usual_and_an_object_elsewhere_is_not() -> None:
    def leaves(image: Image, index: int) -> None:
        image[20:50, 20:60] = np.random.default_rng(index).integers(40, 200, (30, 40, 1))
        walker(image, index)

    values = known(judge_all(UncoveredMotion(), [NOTHING] * FRAMES, images=film(leaves)))
    assert max(values[31:SHOWN]) < 0.3
    assert min(values[SHOWN + 2 :]) > 0.5


@pytest.mark.parametrize("fps", [0.5, 1.0])
def test_pictures_far_apart_are_not_compared(fps: float) -> None:
    assert judge_all(UncoveredMotion(), [NOTHING] * 40, images=film(walker)[:40], fps=fps) == [None] * 40
