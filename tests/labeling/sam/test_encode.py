"""Images that are encoded together: the masks of each alone, whatever the sizes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from segment_anything import SamPredictor
from segment_anything.modeling import Sam

from edgeloop.labeling.sam import InteractiveSegmenter, load
from edgeloop.labeling.sam.segmenter import SamSegmenter
from tests.labeling.sam.tiny_sam import SIDE, tiny_sam

BOXES = np.array([[4, 5, 30, 28], [20, 10, 55, 35]], np.float32)
POINTS = np.array([[20, 20], [40, 15]], np.float32)
MIXES = [
    pytest.param([(60, 40), (60, 40), (60, 40)], id="one size"),
    pytest.param([(60, 40), (70, 120)], id="landscape and portrait"),
    pytest.param([(400, 300), (60, 40), (SIDE, SIDE), (60, 200)], id="larger and smaller than the model"),
]


@pytest.fixture(scope="module")
def sam() -> Sam:
    return tiny_sam()


def pictures(sizes: list[tuple[int, int]]) -> list[NDArray[np.uint8]]:
    """Noise of these widths and heights, no two alike."""
    rng = np.random.default_rng(0)
    return [rng.integers(0, 255, (height, width, 3), dtype=np.uint8) for width, height in sizes]


@pytest.mark.parametrize("sizes", MIXES)
def test_images_together_have_the_masks_of_each_alone(sam: Sam, sizes: list[tuple[int, int]]) -> None:
    segmenter, images = SamSegmenter(sam), pictures(sizes)
    for own, image in zip(segmenter.encode(images), images, strict=True):
        alone = SamSegmenter(sam)
        alone.set_image(image)
        together, expected = (each._predictor.get_image_embedding() for each in (own, alone))
        torch.testing.assert_close(together, expected, atol=1e-4, rtol=1e-4)
        for prompts in ({"boxes": BOXES}, {"points": POINTS}):
            masks, scores = own.masks(**prompts)
            wanted, wanted_scores = alone.masks(**prompts)
            assert masks.shape == (2, *image.shape[:2])
            assert (masks == wanted).mean() > 0.999
            np.testing.assert_allclose(scores, wanted_scores, atol=1e-4)


def test_one_call_of_the_encoder_for_all(sam: Sam) -> None:
    shapes: list[torch.Size] = []
    hook = sam.image_encoder.register_forward_hook(lambda _, given, __: shapes.append(given[0].shape))
    try:
        SamSegmenter(sam).encode(pictures([(60, 40), (70, 120), (60, 40)]))
    finally:
        hook.remove()
    assert shapes == [(3, 3, SIDE, SIDE)]


def test_one_image_is_encoded_as_by_segment_anything_to_the_bit(sam: Sam) -> None:
    (image,) = pictures([(70, 120)])
    segmenter, predictor = SamSegmenter(sam), SamPredictor(sam)
    segmenter.set_image(image)
    with torch.inference_mode():
        predictor.set_image(image, image_format="BGR")
    assert torch.equal(segmenter._predictor.get_image_embedding(), predictor.get_image_embedding())
    masks, scores, _ = predictor.predict(box=BOXES[0], multimask_output=False)
    own, own_scores = segmenter.masks(boxes=BOXES[:1])
    np.testing.assert_array_equal(own, masks)
    np.testing.assert_array_equal(own_scores, scores)


@pytest.mark.parametrize("family", ["torch", "nano"])
def test_each_keeps_its_own_image(sam: Sam, family: str) -> None:
    segmenter: InteractiveSegmenter = SamSegmenter(sam) if family == "torch" else load("nano")
    images = pictures([(60, 40), (70, 120), (90, 50)])
    segmenter.set_image(images[0])
    before, _ = segmenter.masks(boxes=BOXES)
    encoded = segmenter.encode(images[1:])
    shapes = [own.masks(boxes=BOXES)[0].shape for own in reversed(encoded)]
    assert shapes == [(2, 50, 90), (2, 120, 70)]
    np.testing.assert_array_equal(segmenter.masks(boxes=BOXES)[0], before)


def test_nano_together_is_nano_alone_to_the_bit() -> None:
    nano, images = load("nano"), pictures([(60, 40), (70, 120)])
    for own, image in zip(nano.encode(images), images, strict=True):
        nano.set_image(image)
        for one, other in zip(own.masks(boxes=BOXES), nano.masks(boxes=BOXES), strict=True):
            np.testing.assert_array_equal(one, other)
