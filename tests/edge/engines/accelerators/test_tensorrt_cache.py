"""Folder of TensorRT's engines: its key, what survives a failed build, and its bound."""

from __future__ import annotations

import dataclasses
import os
import time
from pathlib import Path

import pytest

from edgeloop.edge.engines.accelerators.build_notice import build_notice
from edgeloop.edge.engines.accelerators.tensorrt_cache import (
    EngineKey,
    engine_folder,
    gpu_and_driver,
    tensorrt_version,
)
from edgeloop.edge.host.folder_lock import locked_folder
from edgeloop.models.errors import UnavailableError

KEY = EngineKey("0" * 64, "NVIDIA T4 (all)", "NVRM 570.1", "100900", "1.31.1", half=False)


def build(root: Path, key: EngineKey = KEY, size: int = 100, **settings: int) -> Path:
    """Open a session that builds an engine, or finds one."""
    with engine_folder(key, "parts.onnx", root=root, **settings) as folder:
        assert folder is not None
        engine = folder / "TensorrtExecutionProvider_1.engine"
        if not engine.exists():
            engine.write_bytes(bytes(size))
    return folder


def fail(root: Path) -> None:
    """Open a session that cannot load its engine."""
    with engine_folder(KEY, "parts.onnx", root=root) as folder:
        assert folder is not None
        (folder / "half.engine").write_bytes(b"x")
        raise RuntimeError("cannot deserialize")


def test_a_build_is_told_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = build(tmp_path)
    told = capsys.readouterr()
    notice = "building the TensorRT engine for parts.onnx (minutes, once per model and GPU): "
    assert told.out == ""
    assert told.err.splitlines() == [f"{notice}0 s", f"{notice}done in 0 s"]
    assert build(tmp_path) == folder
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(EngineKey)])
def test_whatever_an_engine_depends_on_gives_another_folder(tmp_path: Path, field: str) -> None:
    folder = build(tmp_path)
    changed: object = True if field == "half" else "another"
    other = build(tmp_path, dataclasses.replace(KEY, **{field: changed}))  # type: ignore[arg-type]
    assert other != folder


@pytest.mark.parametrize("ready", [False, True], ids=["a build", "a load"])
def test_an_engine_that_fails_is_not_used_again(
    tmp_path: Path, ready: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    if ready:
        build(tmp_path)
    with pytest.raises(RuntimeError, match="cannot deserialize"):
        fail(tmp_path)
    (folder,) = tmp_path.iterdir()
    assert list(folder.iterdir()) == []
    capsys.readouterr()
    build(tmp_path)
    assert "done in" in capsys.readouterr().err


def test_a_build_that_was_killed_is_cleared_away(tmp_path: Path) -> None:
    folder = build(tmp_path)
    (folder / "ready").unlink()
    (folder / "torn.engine").write_bytes(b"x")
    build(tmp_path)
    assert not (folder / "torn.engine").exists()


def test_a_session_without_an_engine_leaves_no_entry_that_counts(tmp_path: Path) -> None:
    with engine_folder(KEY, "x", root=tmp_path) as folder:
        pass
    assert folder is not None
    assert not (folder / "ready").exists()


def test_old_engines_are_deleted_by_their_last_use(tmp_path: Path) -> None:
    folders = []
    for number in range(3):
        folders.append(build(tmp_path, dataclasses.replace(KEY, model=str(number)), 1000))
        os.utime(folders[-1] / "ready", (number + 1, number + 1))
    os.utime(folders[0] / "ready", (99, 99))  # used again
    last = build(tmp_path, dataclasses.replace(KEY, model="3"), 1000, max_bytes=2500)
    assert sorted(tmp_path.iterdir()) == sorted([folders[0], last])


def test_an_engine_that_is_being_built_is_not_deleted(tmp_path: Path) -> None:
    folder = build(tmp_path, size=1000)
    with locked_folder(folder, "held"):
        build(tmp_path, dataclasses.replace(KEY, model="1"), 1000, max_bytes=10)
    assert folder.exists()


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UnavailableError, match="cannot be written"):
        build(tmp_path / "file")


def test_without_a_key_nothing_is_kept_and_that_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with engine_folder(None, "parts.onnx") as folder:
        assert folder is None
    assert (
        "for parts.onnx (each time: the version of TensorRT or of the driver is unk"
        in capsys.readouterr().err
    )


def test_the_gpu_and_its_driver_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert gpu_and_driver(tmp_path) is None
    gpus = tmp_path / "proc/driver/nvidia/gpus"
    for slot, name in (("0000:01:00.0", "NVIDIA L4"), ("0000:02:00.0", "NVIDIA T4")):
        (gpus / slot).mkdir(parents=True)
        (gpus / slot / "information").write_text(f"Model: \t\t {name}\nIRQ:   \t\t 55\n")
    (gpus.parent / "version").write_text("NVRM version: NVIDIA UNIX x86_64 570.1\nGCC version: 13\n")
    assert gpu_and_driver(tmp_path) == (
        "NVIDIA L4, NVIDIA T4 (all)",
        "NVRM version: NVIDIA UNIX x86_64 570.1",
    )
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    found = gpu_and_driver(tmp_path)
    assert found is not None
    assert found[0] == "NVIDIA L4, NVIDIA T4 (1)"


def test_a_jetson_is_its_board_and_its_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    (tmp_path / "proc/device-tree").mkdir(parents=True)
    (tmp_path / "etc").mkdir()
    (tmp_path / "proc/device-tree/model").write_text("NVIDIA Jetson Orin Nano\0")
    (tmp_path / "etc/nv_tegra_release").write_text("# R36 (release), REVISION: 4.0\n")
    assert gpu_and_driver(tmp_path) == ("NVIDIA Jetson Orin Nano (all)", "# R36 (release), REVISION: 4.0")


def test_the_version_is_that_of_the_library_that_the_provider_names(tmp_path: Path) -> None:
    provider = tmp_path / "provider.so"
    assert tensorrt_version(provider) is None
    provider.touch()
    assert tensorrt_version(provider) is None
    provider.write_bytes(b"\0libc.so.6\0libnvinfer.so.99\0")
    assert tensorrt_version(provider) is None  # there is no such version


def test_the_seconds_of_a_build_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    with build_notice("parts.onnx", "minutes", every_s=0.02):
        time.sleep(0.15)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) >= 4
    assert lines[-1] == "building the TensorRT engine for parts.onnx (minutes): done in 0 s"


def test_a_build_that_fails_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="no"), build_notice("parts.onnx", "minutes"):
        raise ValueError("no")
    assert capsys.readouterr().err.endswith("failed after 0 s\n")
