from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgeloop.export.learn.augment import Augmentation, Canvas, Sample, augmented
from edgeloop.export.learn.mask_targets import fill_outline

_PLAIN = Augmentation(mosaic=0, scale=0, shift=0, mirror=0, hue=0, saturation=0, brightness=0)
_ALL = Augmentation(mosaic=0.5, scale=0.4, shift=0.2, mirror=0.5, hue=0, saturation=0, brightness=0)
_SQUARE = Canvas(120, 120, 120)
_BLUE = (255, 0, 0)


def _sample(seed: int) -> Sample:
    """A gray image with one blue rectangle, its box."""
    rng = np.random.default_rng(seed)
    image = np.full((90, 120, 3), 90, np.uint8)
    x, y = int(rng.integers(0, 80)), int(rng.integers(0, 60))
    image[y : y + 30, x : x + 40] = _BLUE
    return Sample(image, np.array([3]), np.array([[x, y, x + 40, y + 30]], np.float32))


def test_without_augmentation_an_image_is_letterboxed() -> None:
    rng = np.random.default_rng(0)
    result = augmented(_sample(1), lambda: _sample(2), _SQUARE, _PLAIN, rng)
    assert result.image.shape == (120, 120, 3)
    assert (result.image[:15] == 114).all()
    assert result.xyxy == pytest.approx(_sample(1).xyxy + np.array([0, 15, 0, 15], np.float32))


@pytest.mark.parametrize("seed", range(24))
def test_boxes_stay_on_their_objects(seed: int) -> None:
    rng = np.random.default_rng(seed)
    result = augmented(
        _sample(seed), lambda: _sample(int(rng.integers(100))), Canvas(160, 128, 160), _ALL, rng
    )
    blue = np.asarray((np.abs(result.image.astype(int) - _BLUE) < 60).all(axis=2))
    covered = np.zeros_like(blue)
    for x1, y1, x2, y2 in result.xyxy:
        inside = blue[round(y1 + 1) : round(y2 - 1), round(x1 + 1) : round(x2 - 1)]
        assert inside.mean() > 0.95
        covered[max(round(y1) - 1, 0) : round(y2) + 1, max(round(x1) - 1, 0) : round(x2) + 1] = True
    # What is blue without a box are parts of which less than a fifth is left.
    assert (blue & ~covered).sum() < 4 * 0.2 * 1.96 * (40 * 30) * (160 / 120) ** 2
    assert (result.class_id == 3).all()


def test_brightness_changes_the_image_and_no_box() -> None:
    settings = Augmentation(mosaic=0, scale=0, shift=0, mirror=0, hue=0, saturation=0, brightness=0.4)
    plain = augmented(_sample(1), lambda: _sample(2), _SQUARE, _PLAIN, np.random.default_rng(5))
    bright = augmented(_sample(1), lambda: _sample(2), _SQUARE, settings, np.random.default_rng(5))
    assert (plain.image != bright.image).any()
    assert (plain.xyxy == bright.xyxy).all()


def test_an_image_without_objects_stays_without() -> None:
    empty = Sample(np.zeros((50, 50, 3), np.uint8), np.zeros(0, np.int64), np.zeros((0, 4), np.float32))
    result = augmented(empty, lambda: empty, _SQUARE, _ALL, np.random.default_rng(3))
    assert result.xyxy.shape == (0, 4)


def _outlined(seed: int) -> Sample:
    """A gray image with two blue polygons, their outlines and boxes."""
    rng = np.random.default_rng(seed)
    image, outlines = np.full((360, 480, 3), 90, np.uint8), []
    for place in (110, 350):
        angle = np.sort(rng.uniform(0, 2 * np.pi, 9))
        outline = rng.uniform(-20, 20, 2) + (place, 170) + 100 * np.stack((np.cos(angle), np.sin(angle)), 1)
        outlines.append(outline.astype(np.float32))
        image[fill_outline(outlines[-1], (0, 0, 480, 360)) > 0] = _BLUE
    boxes = [np.concatenate((each.min(axis=0), each.max(axis=0))) for each in outlines]
    return Sample(image, np.array([0, 1]), np.stack(boxes), tuple(outlines))


@pytest.mark.parametrize("seed", range(12))
def test_outlines_stay_on_their_objects(seed: int) -> None:
    rng = np.random.default_rng(seed)
    settings = replace(_ALL, mirror=seed % 2)
    canvas = Canvas(320, 320, 400)
    result = augmented(_outlined(seed), lambda: _outlined(int(rng.integers(100))), canvas, settings, rng)
    assert result.outlines is not None
    assert len(result.outlines) == len(result.class_id) > 0
    # Objects of which less than a fifth is left have no outline: only what is in a box is compared.
    whole, boxed = np.zeros((320, 320), bool), np.zeros((320, 320), bool)
    for outline, box in zip(result.outlines, result.xyxy.round().astype(int).tolist(), strict=True):
        x1, y1, x2, y2 = box
        whole[y1:y2, x1:x2] |= fill_outline(outline, (x1, y1, x2, y2)) > 0
        boxed[y1:y2, x1:x2] = True
    blue = np.asarray((np.abs(result.image.astype(int) - _BLUE) < 100).all(axis=2)) & boxed
    assert (whole & blue).sum() > 0.95 * (whole | blue).sum()
