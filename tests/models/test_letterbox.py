from __future__ import annotations

import cv2
import numpy as np
import pytest

from edgeloop.models.letterbox import Letterbox

SIZES = [
    pytest.param((640, 480), (320, 320), id="down, bars above and below"),
    pytest.param((480, 640), (320, 320), id="down, bars left and right"),
    pytest.param((1920, 1080), (640, 640), id="full HD"),
    pytest.param((768, 432), (416, 416), id="16:9"),
    pytest.param((641, 479), (320, 320), id="odd sides"),
    pytest.param((333, 777), (320, 256), id="odd sides, oblong model"),
    pytest.param((320, 320), (320, 320), id="as it is"),
    pytest.param((320, 200), (320, 320), id="as wide as the model"),
    pytest.param((100, 60), (320, 320), id="up"),
    pytest.param((1000, 3), (320, 320), id="a thread"),
    pytest.param((1, 1), (64, 32), id="a pixel"),
]


def noise(size: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)


def yolox_preproc(image: np.ndarray, input_size: tuple[int, int]) -> np.ndarray:
    """`yolox.data.data_augment.preproc` without its transposition; input_size is (height, width)."""
    padded = np.ones((input_size[0], input_size[1], 3), dtype=np.uint8) * 114
    ratio = min(input_size[0] / image.shape[0], input_size[1] / image.shape[1])
    height, width = int(image.shape[0] * ratio), int(image.shape[1] * ratio)
    resized = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.uint8)
    padded[:height, :width] = resized
    return padded


@pytest.mark.parametrize(("source", "model"), SIZES)
def test_pixels_are_those_of_ultralytics(source: tuple[int, int], model: tuple[int, int]) -> None:
    augment = pytest.importorskip("ultralytics.data.augment")
    image = noise(source)
    expected = augment.LetterBox(new_shape=(model[1], model[0]), auto=False)(image=image)
    assert np.array_equal(Letterbox.fit(source, model).apply(image), expected)


@pytest.mark.parametrize(("source", "model"), [size for size in SIZES if size.id != "a thread"])
def test_pixels_are_those_of_yolox(source: tuple[int, int], model: tuple[int, int]) -> None:
    image = noise(source)
    expected = yolox_preproc(image, (model[1], model[0]))
    assert np.array_equal(Letterbox.fit(source, model, centered=False).apply(image), expected)


@pytest.mark.parametrize("centered", [True, False])
@pytest.mark.parametrize(("source", "model"), SIZES)
def test_the_whole_image_covers_exactly_its_pixels(
    source: tuple[int, int], model: tuple[int, int], centered: bool
) -> None:
    letterbox = Letterbox.fit(source, model, centered=centered, pad_value=0)
    canvas = letterbox.apply(np.full((source[1], source[0], 3), 255, np.uint8))
    rows, columns = np.nonzero(canvas[..., 0])
    inside = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    whole_src = np.array([[0, 0, *source]], np.float32)
    assert letterbox.to_model(whole_src) == pytest.approx(np.array([inside]), abs=1e-4)
    assert letterbox.to_source(np.array([inside])) == pytest.approx(whole_src, abs=1e-3)


@pytest.mark.parametrize(("source", "model"), SIZES)
def test_the_way_back_is_that_of_ultralytics(source: tuple[int, int], model: tuple[int, int]) -> None:
    ops = pytest.importorskip("ultralytics.utils.ops")
    boxes_model = (np.random.default_rng(2).random((20, 4)) * np.tile(model, 2)).astype(np.float32)
    expected = ops.scale_boxes((model[1], model[0]), boxes_model.copy(), (source[1], source[0]))
    back = Letterbox.fit(source, model).to_source(boxes_model)
    back = np.clip(back, 0, np.tile(source, 2))
    assert back == pytest.approx(expected, abs=1e-4 * max(source))


def test_takes_views_of_any_strides() -> None:
    image = noise((200, 100))
    letterbox = Letterbox.fit((200, 100), (96, 96))
    assert np.array_equal(letterbox.apply(image[:, ::-1]), letterbox.apply(image[:, ::-1].copy()))


@pytest.mark.parametrize(
    ("image", "height"),
    [
        pytest.param(np.zeros((100, 201, 3), np.uint8), 48, id="another size"),
        pytest.param(np.zeros((100, 200), np.uint8), 48, id="gray"),
        pytest.param(np.zeros((100, 200, 3), np.float32), 48, id="float"),
        pytest.param(np.zeros((100, 200, 3), np.uint8), 32, id="small buffer"),
    ],
)
def test_refuses_what_it_is_not_for(image: np.ndarray, height: int) -> None:
    letterbox = Letterbox.fit((200, 100), (96, 96))
    with pytest.raises(ValueError, match="expected"):
        letterbox.resize(image, np.zeros((height, 96, 3), np.uint8))


def test_refuses_sides_that_are_not_positive() -> None:
    with pytest.raises(ValueError, match="must be positive"):
        Letterbox.fit((0, 10), (32, 32))


def test_stretched_fills_the_input_and_finds_the_way_back() -> None:
    image = np.random.default_rng(0).integers(0, 256, (60, 100, 3), dtype=np.uint8)
    letterbox = Letterbox.fit((100, 60), (64, 64), stretched=True)
    assert np.array_equal(letterbox.apply(image), cv2.resize(image, (64, 64)))
    assert letterbox.to_source(np.array([[0, 0, 64, 64]])).tolist() == [[0, 0, 100, 60]]
