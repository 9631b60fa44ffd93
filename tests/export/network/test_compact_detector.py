from __future__ import annotations

import pytest
import torch

from edgeloop.export.network.blocks import folded
from edgeloop.export.network.compact_detector import CompactDetector, grid_points
from edgeloop.export.network.frozen_backbone import FrozenBackbone
from edgeloop.export.network.mask_branch import is_mask_layer, prototype_count
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


def test_a_mask_branch_adds_coefficients_and_prototypes() -> None:
    torch.manual_seed(0)
    detector = CompactDetector(3, masks=16)
    image = torch.rand(2, 3, 64, 96)
    predictions = detector(image)
    cells = 12 * 8 + 6 * 4 + 3 * 2
    assert predictions.coefficients is not None
    assert predictions.coefficients.shape == (2, cells, 16)
    assert predictions.prototypes is not None
    assert predictions.prototypes.shape == (2, 16, 16, 24)
    with torch.no_grad():
        boxes, prototypes = detector.eval()(image)
        levels = detector.neck(detector.backbone(image))
        expected = detector.predict(levels).coefficients
    assert expected is not None
    assert boxes.shape == (2, 4 + 3 + 16, cells)
    assert torch.allclose(boxes[:, 7:], expected)
    assert prototypes.shape == (2, 16, 16, 24)


def test_without_masks_a_detector_is_the_same() -> None:
    torch.manual_seed(0)
    plain = CompactDetector(3)
    torch.manual_seed(0)
    masked = CompactDetector(3, masks=16)
    state = masked.state_dict()
    own = {key: value for key, value in state.items() if not is_mask_layer(key)}
    assert own.keys() == plain.state_dict().keys()
    assert all(torch.equal(value, own[key]) for key, value in plain.state_dict().items())
    assert (prototype_count(state), prototype_count(own)) == (16, 0)
