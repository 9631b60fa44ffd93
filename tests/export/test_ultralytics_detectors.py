from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

pytest.importorskip("ultralytics")

from ultralytics.utils import ROOT

from edgeloop.export.train_options import Activation
from edgeloop.export.ultralytics.build_detector import build_detector, load_detector
from edgeloop.models.errors import EdgeloopError, ModelError, NoInputError, UsageError

NAMES = ("bolt", "bracket", "gear")


def test_the_same_seed_starts_the_same() -> None:
    states = [build_detector("yolo26n", None, NAMES, seed=seed).state_dict() for seed in (1, 1, 2)]
    key = "model.0.conv.weight"
    assert torch.equal(states[0][key], states[1][key])
    assert not torch.equal(states[0][key], states[2][key])


@pytest.mark.parametrize(
    ("model", "weights", "error", "message"),
    [
        ("yolo99x", None, UsageError, "--model yolo99x: unknown; expected a detector of ultralytics such as"),
        ("yolo26n", "best", UsageError, "--weights best: expected none or a path to a .pt file for yolo26n"),
        ("yolo26n", "gone.pt", NoInputError, "gone.pt: no such file"),
        ("gone.pt", None, NoInputError, "gone.pt: no such file"),
        ("gone.yaml", None, NoInputError, "gone.yaml: no such file"),
        ("cut.pt", None, ModelError, "cut.pt: not a readable checkpoint"),
        ("numbers.pt", None, ModelError, "numbers.pt: not a readable checkpoint"),
        ("broken.yaml", None, ModelError, "broken.yaml: ultralytics cannot build it"),
    ],
)
def test_says_what_is_wrong_with_a_model(
    model: str,
    weights: str | None,
    error: type[EdgeloopError],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("cut.pt").write_bytes(b"PK\x03\x04 no more")
    torch.save({"numbers": [1, 2]}, "numbers.pt")
    Path("broken.yaml").write_text("nc: 2\nbackbone:\n  - [-1, 1, Nothing, [8]]\nhead: []\n")
    with pytest.raises(error) as caught:
        build_detector(model, weights, NAMES, seed=0)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_checkpoint_cannot_run_code(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (tmp_path / "sprung",)

    torch.save({"model": Trap()}, tmp_path / "trap.pt")
    with pytest.raises(ModelError, match=r"trap\.pt: not a readable checkpoint"):
        load_detector(tmp_path / "trap.pt")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("activation", [None, "silu", "relu"])
def test_the_activation_of_a_detector_can_be_chosen(activation: Activation | None) -> None:
    detector = build_detector("yolo26n", None, NAMES, seed=0, activation=activation)
    kinds = {type(module) for module in detector.modules()}
    assert (nn.SiLU in kinds, nn.ReLU in kinds) == (activation != "relu", activation == "relu")
    # The choice belongs to this detector and not to the process.
    assert nn.SiLU in {type(module) for module in build_detector("yolo26n", None, NAMES, seed=0).modules()}


def test_an_activation_that_cannot_be_chosen_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match=r"yolov10n\.yaml has layers whose SiLU cannot be exchanged"):
        build_detector(str(ROOT / "cfg/models/v10/yolov10n.yaml"), None, NAMES, seed=0, activation="relu")


@pytest.mark.slow
def test_a_checkpoint_keeps_its_activation(tmp_path: Path) -> None:
    detector = build_detector("yolo26n", None, NAMES, seed=0, activation="relu")
    torch.save({"model": detector}, tmp_path / "best.pt")
    assert not any(isinstance(module, nn.SiLU) for module in load_detector(tmp_path / "best.pt").modules())
    again = build_detector(str(tmp_path / "best.pt"), None, ("one",), seed=0)
    assert not any(isinstance(module, nn.SiLU) for module in again.modules())
