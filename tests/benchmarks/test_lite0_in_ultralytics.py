"""The network that ultralytics trains for comparison computes what ours computes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from edgeloop.export.network.compact_detector import CompactDetector
from edgeloop.export.network.start_detector import start_detector

pytest.importorskip("ultralytics")

from edgeloop.export.ultralytics.build_detector import build_detector
from lite0_in_ultralytics import START_CLASSES, to_ultralytics


def random_detector(classes: int) -> CompactDetector:
    """Build a detector whose batch norms are no identities."""
    detector, _ = start_detector(classes, "none", seed=1)
    torch.manual_seed(2)
    for key, value in detector.state_dict().items():
        if key.endswith(("norm.weight", "norm.running_var")):
            value.uniform_(0.8, 1.6)
        elif key.endswith(("norm.bias", "norm.running_mean")):
            value.uniform_(-0.2, 0.2)
    return detector.eval()


def test_both_compute_the_same() -> None:
    detector = random_detector(3)
    image = torch.rand(1, 3, 96, 160)

    with torch.inference_mode():
        ours, theirs = detector(image), to_ultralytics(detector).eval()(image)[0]

    assert ours.shape == theirs.shape == (1, 7, 315)
    assert ours[:, :4].std() > 1
    torch.testing.assert_close(theirs, ours, atol=1e-3, rtol=1e-4)


@pytest.mark.slow
def test_the_checkpoint_opens_behind_the_wall(tmp_path: Path) -> None:
    detector = random_detector(START_CLASSES)
    path = tmp_path / "start.pt"
    torch.save({"model": to_ultralytics(detector), "train_args": {}}, path)

    built = build_detector(str(path), None, ("car", "tram"), seed=0)

    wanted = to_ultralytics(detector).state_dict()
    same = {key for key, value in built.state_dict().items() if torch.equal(value, wanted[key])}
    assert {key for key in wanted if key not in same} == {
        f"model.22.cv3.{level}.2.{kind}" for level in range(3) for kind in ("weight", "bias")
    }
