from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from edgeloop.edge.engines.open_engine import ENGINES, onnx_providers
from edgeloop.edge.host.hardware import find_accelerators


def machine(
    root: Path, *, pci: Sequence[tuple[str, str]] = (), board: str = "", nodes: Sequence[str] = ()
) -> Path:
    """A file system with the devices of a machine."""
    for number, (vendor, kind) in enumerate(pci):
        device = root / f"sys/bus/pci/devices/0000:00:{number:02x}.0"
        device.mkdir(parents=True)
        (device / "vendor").write_text(f"{vendor}\n")
        (device / "class").write_text(f"{kind}\n")
    if board:
        (root / "proc/device-tree").mkdir(parents=True)
        (root / "proc/device-tree/model").write_bytes(board.encode() + b"\0")
    for node in nodes:
        (root / node).parent.mkdir(parents=True, exist_ok=True)
        (root / node).touch()
    return root


@pytest.mark.parametrize(
    ("pci", "board", "nodes", "expected"),
    [
        pytest.param([], "", [], [], id="a bare virtual machine"),
        pytest.param([("0x8086", "0x020000"), ("0x1af4", "0x010000")], "", [], [], id="network and disk"),
        pytest.param([("0x10de", "0x030200")], "", ["dev/nvidia0"], ["NVIDIA GPU"], id="NVIDIA"),
        pytest.param([], "", ["dev/nvidia0"], ["NVIDIA GPU"], id="NVIDIA in a container"),
        pytest.param(
            [("0x8086", "0x030000"), ("0x8086", "0x120000")],
            "",
            [],
            ["Intel GPU", "Intel NPU"],
            id="Core Ultra",
        ),
        pytest.param([("0x1002", "0x030000")], "", [], ["AMD GPU"], id="AMD"),
        pytest.param([("0x1e60", "0x120000")], "", [], ["Hailo"], id="Hailo"),
        pytest.param(
            [], "NVIDIA Jetson Orin Nano Developer Kit", ["dev/nvidia0"], ["NVIDIA Jetson"], id="Jetson"
        ),
        pytest.param([], "Raspberry Pi 5 Model B Rev 1.0", [], ["Raspberry Pi"], id="Raspberry Pi"),
        pytest.param([], "Qualcomm Technologies, Inc. Robotics RB5", [], ["Qualcomm"], id="Qualcomm"),
    ],
)
def test_linux(
    tmp_path: Path, pci: list[tuple[str, str]], board: str, nodes: list[str], expected: list[str]
) -> None:
    root = machine(tmp_path, pci=pci, board=board, nodes=nodes)
    assert [found.name for found in find_accelerators(root, "Linux")] == expected


def test_apple(tmp_path: Path) -> None:
    (found,) = find_accelerators(tmp_path, "Darwin")
    assert found.providers == ("coreml",)


def test_an_accelerator_has_a_provider_or_an_engine_or_says_that_there_is_none(tmp_path: Path) -> None:
    boxes = [("0x1e60", "0x12"), ("0x1ac1", "0x08")]
    found = find_accelerators(machine(tmp_path, pci=boxes, board="Radxa ROCK 5B rockchip,rk3588"), "Linux")
    assert [(each.name, each.engine) for each in found] == [
        ("Rockchip NPU", "rknn"),
        ("Hailo", "hailo"),
        ("Coral Edge TPU", ""),
    ]
    for each in found:
        assert f"--target {each.engine}" in each.advice if each.engine else "no engine" in each.advice
        assert not each.engine or each.engine in ENGINES


def test_advice_names_providers_that_there_are(tmp_path: Path) -> None:
    every = machine(
        tmp_path, pci=[("0x10de", "0x03"), ("0x8086", "0x03"), ("0x8086", "0x12"), ("0x1002", "0x03")]
    )
    for found in find_accelerators(every, "Linux"):
        assert set(found.providers) <= set(onnx_providers())
        assert "pip install" in found.advice


def test_missing_rights_are_said_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = machine(tmp_path, pci=[("0x8086", "0x030000")], nodes=["dev/dri/renderD128"])
    assert "render" not in find_accelerators(root, "Linux")[0].advice
    monkeypatch.setattr("os.access", lambda *_: False)
    (found,) = find_accelerators(root, "Linux")
    assert found.advice.startswith("add this user to the group `render`")
    assert "renderD128" in found.advice
