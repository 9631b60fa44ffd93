from __future__ import annotations

import pytest
import torch

from edgeloop.export.network.blocks import folded
from edgeloop.export.network.compact_detector import CompactDetector, grid_points
from edgeloop.export.network.frozen_backbone import FrozenBackbone
from edgeloop.export.network.start_detector import rescale
from edgeloop.models.heads import decode


@pytest.fixture
def detector() -> CompactDetector:
    """A detector whose batch norms have statistics of something."""
    torch.manual_seed(0)
    found = CompactDetector(3)
    for _ in range(20):
        found(torch.rand(2, 3, 64, 64))
    return found.eval()


def test_the_output_is_that_of_the_classic_head(detector: CompactDetector) -> None:
    with torch.no_grad():
        output = detector(torch.rand(1, 3, 64, 96)).numpy()
    assert output.shape == (1, 4 + 3, 12 * 8 + 6 * 4 + 3 * 2)
    found = decode("classic", [output], input_size=(96, 64), confidence=0.0, iou=0.7)
    assert len(found)
    assert ((found.confidence > 0) & (found.confidence < 1)).all()


def test_cells_are_in_the_order_of_the_levels() -> None:
    points, strides = grid_points([(2, 3), (1, 2), (1, 1)], torch.device("cpu"))
    assert points[:6].tolist() == [[0.5, 0.5], [1.5, 0.5], [2.5, 0.5], [0.5, 1.5], [1.5, 1.5], [2.5, 1.5]]
    assert strides[:, 0].tolist() == [8] * 6 + [16] * 2 + [32]


def test_folded_batch_norms_change_nothing(detector: CompactDetector) -> None:
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.allclose(detector(image), folded(detector)(image), atol=1e-3)
    assert not any(isinstance(each, torch.nn.BatchNorm2d) for each in folded(detector).modules())


@pytest.mark.parametrize("frozen", [0, 1, 4, 7])
def test_a_frozen_backbone_computes_what_the_backbone_does(detector: CompactDetector, frozen: int) -> None:
    images = torch.rand(2, 3, 64, 96)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        expected = detector.backbone(images)
        found = FrozenBackbone(detector.backbone, frozen, torch.bfloat16)(images)
    for one, other in zip(expected, found, strict=True):
        assert one.shape == other.shape
        assert (one - other).abs().mean() < 0.05 * one.abs().mean()


def test_rescaled_weights_compute_the_same(detector: CompactDetector) -> None:
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        before = detector(image)
        rescale(detector)
        assert torch.allclose(before, detector(image), atol=1e-2)
