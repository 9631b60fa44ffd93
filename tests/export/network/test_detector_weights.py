from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from edgeloop.export.network.detector_weights import read_detector, read_state, write_detector, write_state
from edgeloop.models.errors import ModelError, NoInputError
from tests.export.untrained import NAMES, untrained_detector


def test_a_detector_survives_a_file(tmp_path: Path) -> None:
    detector = untrained_detector()
    write_detector(detector, NAMES, tmp_path / "best.safetensors")
    again, names = read_detector(tmp_path / "best.safetensors")
    assert names == NAMES
    assert not again.training
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        torch.testing.assert_close(again(image), detector(image), rtol=0.02, atol=0.2)
    with safe_open(tmp_path / "best.safetensors", "pt") as file:
        metadata = file.metadata()
    assert metadata["model"] == "edgeloop-lite0"
    assert json.loads(metadata["classes"]) == list(NAMES)
    assert [path.name for path in tmp_path.iterdir()] == ["best.safetensors"]


def test_weights_survive_a_file(tmp_path: Path) -> None:
    write_state({"a": torch.tensor([0.5, 2.0]), "count": torch.tensor(3)}, tmp_path / "weights.safetensors")
    state = read_state(tmp_path / "weights.safetensors")
    assert list(state) == ["a"]
    assert torch.equal(state["a"], torch.tensor([0.5, 2.0]))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("cut off", "x.safetensors: not a readable safetensors file"),
        ("no names", "x.safetensors: expected a trained edgeloop-lite0 with the names of its classes"),
        ("bad names", "x.safetensors: expected a trained edgeloop-lite0 with the names of its classes"),
        ("other model", "x.safetensors: expected a trained edgeloop-lite0 with the names of its classes"),
        (
            "a tensor less",
            "x.safetensors: weights of another detector, neck.down_16.conv.weight is not",
        ),
        ("three classes", "weight is (2, 64, 1, 1) in the file and (3, 64, 1, 1) in the model"),
    ],
)
def test_says_what_is_wrong_with_a_file(damage: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    state = untrained_detector().state_dict()
    metadata = {"model": "edgeloop-lite0", "classes": json.dumps(NAMES)}
    if damage == "a tensor less":
        del state["neck.down_16.conv.weight"]
    metadata |= {
        "bad names": {"classes": "disk, bar"},
        "other model": {"model": "nano"},
        "three classes": {"classes": '["a", "b", "c"]'},
    }.get(damage, {})
    save_file(state, path, {} if damage == "no names" else metadata)
    if damage == "cut off":
        path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ModelError) as caught:
        read_detector(path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_says_that_there_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(NoInputError, match=r"gone\.safetensors: no such file"):
        read_detector(tmp_path / "gone.safetensors")
