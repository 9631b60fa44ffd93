from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeloop.export.data.yolo_dataset import LabeledImage
from edgeloop.export.learn.recipe import choose_recipe
from edgeloop.export.train_options import TrainOptions


def _images(
    folder: Path, count: int, *, width: int = 640, height: int = 360, side: float
) -> list[LabeledImage]:
    """Images with one square object of `side` px each."""
    path = folder / "image.png"
    cv2.imwrite(str(path), np.zeros((height, width, 3), np.uint8))
    box = np.array([[0.5, 0.5, side / width, side / height]], np.float32)
    return [LabeledImage(path, np.zeros(1, np.int64), box)] * count


@pytest.mark.parametrize(
    ("side", "expected"),
    [(300, 320), (64, 320), (45, 448), (32, 640), (10, 640)],
    ids=["large", "still large", "medium", "small", "tiny"],
)
def test_the_image_side_follows_the_objects_sizes(tmp_path: Path, side: float, expected: int) -> None:
    assert choose_recipe(_images(tmp_path, 30, side=side), TrainOptions()).side == expected


@pytest.mark.parametrize(
    ("side", "expected"), [(300, 416), (58, 448), (10, 640)], ids=["large", "small", "tiny"]
)
def test_few_images_are_larger(tmp_path: Path, side: float, expected: int) -> None:
    assert choose_recipe(_images(tmp_path, 5, side=side), TrainOptions()).side == expected


@pytest.mark.parametrize(
    ("small", "expected"),
    [pytest.param(2, 640, id="two of five objects"), pytest.param(3, 960, id="three of five")],
)
def test_images_beyond_the_limit_of_devices_need_half_of_the_objects(
    tmp_path: Path, small: int, expected: int
) -> None:
    large, tiny = (_images(tmp_path, 1, side=side) for side in (200, 10))
    images = large * (5 - small) + tiny * small
    assert choose_recipe(images, TrainOptions(), largest_side=960).side == expected
    assert choose_recipe(images, TrainOptions()).side == 640


def test_few_images_are_trained_for_steps_and_many_for_passes(tmp_path: Path) -> None:
    images = _images(tmp_path, 5, side=64)
    few, many = choose_recipe(images, TrainOptions()), choose_recipe(images * 20, TrainOptions())
    assert (few.batch, few.steps) == (5, 150)
    assert (many.batch, many.steps) == (8, 30 * 13)


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        (TrainOptions(epochs=7), 7),
        (TrainOptions(time_limit_s=10.0), None),
        (TrainOptions(time_limit_s=10.0, epochs=7), 7),
    ],
    ids=["passes", "time", "both"],
)
def test_options_win(tmp_path: Path, options: TrainOptions, steps: int | None) -> None:
    assert choose_recipe(_images(tmp_path, 5, side=64), options).steps == steps


def test_the_backbone_learns_only_without_start_weights_or_on_demand(tmp_path: Path) -> None:
    images = _images(tmp_path, 5, side=64)
    assert choose_recipe(images, TrainOptions()).freeze == 7
    assert choose_recipe(images, TrainOptions(weights="none")).freeze == 0
    assert choose_recipe(images, TrainOptions(freeze=3)).freeze == 3
    assert choose_recipe(images, TrainOptions(imgsz=224)).side == 224


@pytest.mark.parametrize(
    ("width", "height", "canvas"),
    [(640, 360, (640, 384)), (640, 480, (640, 480)), (360, 640, (384, 640)), (500, 500, (640, 640))],
)
def test_the_canvas_has_the_shape_of_the_images(
    tmp_path: Path, width: int, height: int, canvas: tuple[int, int]
) -> None:
    images = _images(tmp_path, 5, width=width, height=height, side=10)
    assert choose_recipe(images, TrainOptions()).canvas == (*canvas, 640)
