"""The features that labeling learns on are those of the network that ImageNet trained."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edgeloop.labeling.features.backbone import CHANNELS, STRIDES, extract_features, preprocess, working_size
from edgeloop.labeling.sam.pyramid import LITE0, LitePyramid


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


def test_working_size_is_what_the_network_takes() -> None:
    assert working_size(np.zeros((432, 768, 3), np.uint8), 2.0) == (1536, 864)
    assert working_size(np.zeros((50, 10, 3), np.uint8), 1.0) == (32, 64)
