from __future__ import annotations

import numpy as np
import pytest

from edgeloop.edge.runtime.preprocess import InputBuffer
from edgeloop.models.facts.overrides import Color, Dtype, Layout
from edgeloop.models.letterbox import Letterbox
from edgeloop.models.spec import ModelSpec

SOURCE, UPRIGHT = (100, 60), (60, 100)


def spec(
    layout: Layout = "NCHW", dtype: Dtype = "float32", color: Color = "RGB", scale: float = 255.0
) -> ModelSpec:
    return ModelSpec(
        head="end2end",
        input_size=(96, 64),
        layout=layout,
        dtype=dtype,
        color=color,
        scale=scale,
        centered=True,
        pad_value=114,
        names=("car",),
        stride=32,
        confidence=0.25,
        iou=0.7,
        max_detections=300,
    )


def noise(seed: int = 0, size: tuple[int, int] = SOURCE) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("color", ["RGB", "BGR"])
@pytest.mark.parametrize(
    ("dtype", "scale"), [("float32", 255.0), ("float32", 1.0), ("float16", 255.0), ("uint8", 1.0)]
)
@pytest.mark.parametrize("size", [SOURCE, UPRIGHT, (96, 64), (96, 32)], ids=str)
def test_every_kind_of_input(
    layout: Layout, color: Color, dtype: Dtype, scale: float, size: tuple[int, int]
) -> None:
    letterbox = Letterbox.fit(size, (96, 64))
    expected = letterbox.apply(noise(0, size))
    if color == "RGB":
        expected = expected[..., ::-1]
    if layout == "NCHW":
        expected = expected.transpose(2, 0, 1)
    if dtype != "uint8":
        expected = (expected.astype(np.float32) / np.float32(scale)).astype(dtype)
    buffer = InputBuffer(spec(layout, dtype, color, scale))
    for image in (
        noise(2, (80, 80)),
        noise(1, size),
        noise(0, size),
    ):  # one that was used before gives the same
        tensor, way_back = buffer.fill(image)
    assert way_back == letterbox
    assert tensor is buffer.tensor
    assert tensor.dtype == dtype
    assert tensor.flags.c_contiguous
    assert np.array_equal(tensor, expected[None])


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("color", ["RGB", "BGR"])
def test_mean_and_deviation_by_channel(layout: Layout, color: Color) -> None:
    mean, std = (0.1, 0.5, 0.9), (0.2, 0.3, 0.4)
    normalized = spec(layout, "float32", color).model_copy(update={"mean": mean, "std": std})
    image = Letterbox.fit(SOURCE, (96, 64)).apply(noise())[..., :: -1 if color == "RGB" else 1]
    expected = (image / 255 - mean) / std
    tensor = InputBuffer(normalized).fill(noise())[0][0]
    assert (tensor if layout == "NHWC" else tensor.transpose(1, 2, 0)) == pytest.approx(expected, abs=1e-5)


def test_the_source_image_stays_as_it_is() -> None:
    image = noise()
    InputBuffer(spec("NHWC", "uint8", "RGB", 1.0)).fill(image)
    assert np.array_equal(image, noise())


def test_values_are_those_of_ultralytics() -> None:
    torch = pytest.importorskip("torch")
    augment = pytest.importorskip("ultralytics.data.augment")
    boxed = augment.LetterBox((64, 96), auto=False)(image=noise())
    expected = torch.from_numpy(boxed[..., ::-1].transpose(2, 0, 1).copy()).float() / 255
    tensor, _ = InputBuffer(spec()).fill(noise())
    assert np.array_equal(tensor[0], expected.numpy())
