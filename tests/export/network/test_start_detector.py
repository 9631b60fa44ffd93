"""Warm start: a trained detector keeps what it knows of classes by their names."""

from __future__ import annotations

from pathlib import Path

import torch

from edgeloop.export.network.compact_detector import CompactDetector, is_class_layer
from edgeloop.export.network.detector_weights import write_detector
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
