"""Warm start: a trained detector keeps what it knows of classes by their names."""

from __future__ import annotations

from pathlib import Path

import torch

from edgeloop.export.network.compact_detector import CompactDetector, is_class_layer
from edgeloop.export.network.detector_weights import read_detector, write_detector
from edgeloop.export.network.mask_branch import is_mask_layer
from edgeloop.export.network.start_detector import start_detector


def trained(path: Path, names: tuple[str, ...]) -> dict[str, torch.Tensor]:
    """Detector whose class rows tell the classes apart, on disk."""
    torch.manual_seed(7)
    detector = CompactDetector(len(names))
    write_detector(detector, names, path)
    return {key: value.half().float() for key, value in detector.state_dict().items()}


def test_rows_of_known_classes_are_found_by_name(tmp_path: Path) -> None:
    weights = tmp_path / "best.safetensors"
    before = trained(weights, ("bolt", "nut"))
    detector, start = start_detector(("nut", "washer", "bolt"), str(weights), seed=0)
    fresh = start_detector(("nut", "washer", "bolt"), "none", seed=0)[0].state_dict()
    own = detector.state_dict()
    assert start == str(weights)
    layers = [key for key in own if is_class_layer(key)]
    assert layers
    for key in layers:
        assert torch.equal(own[key][0], before[key][1])
        assert torch.equal(own[key][1], fresh[key][1])
        assert torch.equal(own[key][2], before[key][0])
    assert torch.equal(own["head.scores.0.0.conv.weight"], before["head.scores.0.0.conv.weight"])


def test_as_many_other_classes_are_not_taken_for_the_known_ones(tmp_path: Path) -> None:
    weights = tmp_path / "best.safetensors"
    before = trained(weights, ("bolt", "nut"))
    own = start_detector(("cat", "dog"), str(weights), seed=0)[0].state_dict()
    assert not any(torch.equal(own[key], before[key]) for key in own if is_class_layer(key))


def test_weights_with_and_without_a_mask_branch_start_each_other(tmp_path: Path) -> None:
    names = ("bolt", "nut")
    plain, masked = tmp_path / "plain.safetensors", tmp_path / "masked.safetensors"
    before = trained(plain, names)
    segmenter = start_detector(names, str(plain), seed=0, masks=16)[0]
    write_detector(segmenter, names, masked)

    own = segmenter.state_dict()
    fresh = start_detector(names, "none", seed=0, masks=16)[0].state_dict()
    assert all(torch.equal(own[key], fresh[key]) for key in own if is_mask_layer(key))
    assert all(torch.equal(own[key], value) for key, value in before.items() if value.is_floating_point())

    again, without = (start_detector(names, str(masked), seed=5, masks=count)[0] for count in (16, 0))
    assert torch.equal(again.state_dict()["masks.mix.weight"], own["masks.mix.weight"].half().float())
    assert without.state_dict().keys() == before.keys()
    read, _ = read_detector(masked)
    assert read.masks is not None
    assert read.masks.count == 16
