"""The ONNX files that ship are the networks that they were made from."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edgeloop.edge.synth import open_scene
from edgeloop.labeling.features.backbone import CHANNELS, STRIDES, extract_features, preprocess
from edgeloop.labeling.sam import load
from edgeloop.labeling.sam.segmenter import SamSegmenter
from edgeloop.models.weights.registry import weights_path
from recipes.nano.architecture import load_nano
from recipes.nano.pyramid import LITE0, LitePyramid


@pytest.mark.slow
def test_onnxruntime_repeats_torch() -> None:
    scene = open_scene("conveyor", seed=3, size=(768, 432))
    image, boxes = scene.render(500), scene.truth(500).xyxy
    points = (boxes[:, :2] + boxes[:, 2:]) / 2
    assert len(boxes) >= 3
    nano, torch_nano = load("nano"), SamSegmenter(load_nano(weights_path("nano")))
    for segmenter in (nano, torch_nano):
        segmenter.set_image(image)
    for prompts in ({"boxes": boxes}, {"points": points}):
        masks, scores = nano.masks(**prompts)
        expected, expected_scores = torch_nano.masks(**prompts)
        either = np.maximum((masks | expected).sum(axis=(1, 2)), 1)
        iou = (masks & expected).sum(axis=(1, 2)) / either
        assert iou.min() >= 0.98
        assert iou.mean() >= 0.99
        np.testing.assert_allclose(scores, expected_scores, atol=0.01)


@pytest.mark.parametrize(("count", "size"), [(1, (320, 192)), (3, (96, 96))])
def test_features_are_those_of_the_network(count: int, size: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 255, (90, 150, 3), dtype=np.uint8)
    images = torch.cat([preprocess(image, size)] * count)
    found = extract_features(images)
    with torch.inference_mode():
        expected = LitePyramid(LITE0, pretrained=True).eval()(images)
    for features, wanted, channels, stride in zip(found, expected, CHANNELS, STRIDES, strict=True):
        assert features.shape == (count, channels, size[1] // stride, size[0] // stride)
        assert float((features - wanted).norm() / wanted.norm()) < 5e-3
