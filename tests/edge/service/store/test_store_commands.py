"""Install, shadow, promote and rollback as commands."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from edgeloop.edge.runtime.verification import verify
from edgeloop.edge.service.store.model_store import ModelStore
from edgeloop.edge.service.store.shadow_figures import ShadowFigures
from edgeloop.models.facts.facts_path import facts_path
from tests.calls import Outcome
from tests.dense import write_bundle
from tests.ncnn_files import write_ncnn

Call = Callable[..., Outcome]

ZONES = {
    "zones": [{"name": "all", "polygon": [[0, 0], [1, 0], [1, 1]], "classes": ["nut"]}],
    "units": "shares",
}


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Bundle with a checksum and a golden sample."""
    return write_bundle(tmp_path / "first.onnx")


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """Another bundle with the same classes."""
    return write_bundle(tmp_path / "second.onnx", precision="fp16")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Configuration of one camera."""
    return write_config(tmp_path, "")


def write_config(folder: Path, camera: str, model: str = "") -> Path:
    path = folder / "edgeloop.toml"
    path.write_text(
        f'state = "{folder / "state"}"\n[models.parts]\n{model}\n'
        f'[cameras.belt]\nsource = "synth:conveyor"\n{camera}\n[probation]\nmin_frames = 10\n'
    )
    return path


def store(folder: Path) -> ModelStore:
    return ModelStore(folder / "state", "parts")


def refused(done: Outcome, *words: str, code: int = 65) -> None:
    assert done.code == code, done.err
    assert done.err.startswith("edgeloop: error: ")
    assert done.err.count("\n") == 1
    for word in words:
        assert word in done.err


def test_install_twice_and_roll_back(edgeloop: Call, tmp_path: Path, bundle: Path, other: Path) -> None:
    place = ["--state", tmp_path / "state"]
    first = edgeloop("install", bundle, "--name", "parts", *place)
    assert first.out.endswith("(first.onnx) is current\n"), first.err
    assert store(tmp_path).current().read_bytes() == bundle.read_bytes()
    state = store(tmp_path).read()
    assert state.current is not None
    assert (state.current.proven, state.current.provider) == (True, "cpu")
    second = edgeloop("install", other, "--name", "parts", *place)
    assert "(second.onnx) is current, on probation for 15 minutes" in second.out
    assert edgeloop("rollback", "parts", *place).out == f"parts: {state.current.digest[:12]} is current\n"
    assert store(tmp_path).current().read_bytes() == bundle.read_bytes()
    refused(edgeloop("rollback", "parts", *place), "there is no previous model")


def test_the_configuration_names_state_and_model(
    edgeloop: Call, tmp_path: Path, bundle: Path, config: Path
) -> None:
    assert edgeloop("install", bundle, "--config", config).code == 0
    assert store(tmp_path).current().read_bytes() == bundle.read_bytes()


@pytest.mark.parametrize("damage", ["cut", "bit"])
def test_a_damaged_file_is_refused_and_nothing_changes(
    edgeloop: Call, tmp_path: Path, bundle: Path, config: Path, damage: str
) -> None:
    content = bytearray(bundle.read_bytes())
    if damage == "cut":
        del content[-200:]
    else:
        content[len(content) // 2] ^= 1
    bundle.write_bytes(content)
    refused(edgeloop("install", bundle, "--config", config), str(bundle))
    assert not (tmp_path / "state").exists()


def test_a_file_of_another_tool_needs_unproven(edgeloop: Call, tmp_path: Path, block_model: Path) -> None:
    words = ["install", block_model, "--name", "parts", "--state", tmp_path / "state"]
    refused(edgeloop(*words), "not proven", "--unproven")
    assert edgeloop(*words, "--unproven").code == 0
    current = store(tmp_path).read().current
    assert current is not None
    assert not current.proven


def test_a_missing_class_is_refused(edgeloop: Call, tmp_path: Path, bundle: Path) -> None:
    config = write_config(tmp_path, 'classes = ["nut"]')
    refused(edgeloop("install", bundle, "--config", config), "cameras.belt.classes", "no class 'nut'")
    (tmp_path / "zones.json").write_text(json.dumps(ZONES))
    config = write_config(tmp_path, f'zones = "{tmp_path / "zones.json"}"')
    refused(edgeloop("shadow", bundle, "--config", config), "zones.json", "'nut'")
    assert not (tmp_path / "state").exists()


def test_an_absent_provider_is_refused(edgeloop: Call, tmp_path: Path, bundle: Path) -> None:
    config = write_config(tmp_path, "", 'provider = "qnn"')
    refused(edgeloop("install", bundle, "--config", config), "provider 'qnn'", code=69)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--name", "parts"], 2, "--config FILE or --state DIR"),
        (["--name", "../x", "--state", "state"], 2, "letters, digits"),
        (["--state", "state"], 2, "--name"),
        (["--config", "none.toml"], 66, "none.toml"),
    ],
)
def test_what_names_no_store(edgeloop: Call, bundle: Path, words: list[str], code: int, said: str) -> None:
    refused(edgeloop("install", bundle, *words), said, code=code)


def test_a_configuration_that_does_not_use_the_store(edgeloop: Call, tmp_path: Path, bundle: Path) -> None:
    config = write_config(tmp_path, "", 'file = "parts.onnx"')
    refused(edgeloop("install", bundle, "--config", config), "models.parts.file", "remove it")
    refused(edgeloop("rollback", "other", "--config", config), "no model 'other'")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can leave files of another user")
def test_root_leaves_no_files_in_a_folder_of_another_user(
    edgeloop: Call, tmp_path: Path, bundle: Path
) -> None:
    (tmp_path / "state").mkdir()
    os.chown(tmp_path / "state", 1234, 1234)
    done = edgeloop("install", bundle, "--name", "parts", "--state", tmp_path / "state")
    refused(done, "belongs to user 1234", "sudo -u '#1234'")
    assert not list((tmp_path / "state").iterdir())


def test_shadow_and_promote(edgeloop: Call, tmp_path: Path, bundle: Path, other: Path, config: Path) -> None:
    place = ["--config", config]
    refused(edgeloop("shadow", bundle, *place), "no current model")
    edgeloop("install", bundle, *place)
    refused(edgeloop("promote", "parts", *place), "there is no candidate")
    assert "is in shadow" in edgeloop("shadow", other, *place).out
    done = edgeloop("promote", "parts", *place)
    refused(done, "frames: expected at least 10, got 0")
    assert "FAILS  agreement: expected at least 0.7, got no boxes to compare" in done.out
    write_figures(tmp_path, matched=20)
    refused(edgeloop("promote", "parts", *place), "agreement: expected at least 0.7, got 0.500")
    write_figures(tmp_path, matched=36)
    done = edgeloop("promote", "parts", *place)
    assert (done.code, done.out.count("holds  "), "FAILS" in done.out) == (0, 6, False)
    state = store(tmp_path).read()
    assert state.current is not None
    assert (state.current.origin, state.candidate, state.history[-1].forced) == ("second.onnx", None, False)


def test_promotion_by_force_is_recorded(
    edgeloop: Call, tmp_path: Path, bundle: Path, other: Path, config: Path
) -> None:
    edgeloop("install", bundle, "--config", config)
    edgeloop("shadow", other, "--config", config)
    assert edgeloop("promote", "parts", "--force", "--config", config).code == 0
    assert store(tmp_path).read().history[-1].forced


def test_figures_of_another_candidate_do_not_count(
    edgeloop: Call, tmp_path: Path, bundle: Path, other: Path, config: Path
) -> None:
    edgeloop("install", bundle, "--config", config)
    edgeloop("shadow", other, "--config", config)
    write_figures(tmp_path, matched=36, candidate="0" * 64)
    refused(edgeloop("promote", "parts", "--config", config), "frames: expected at least 10, got 0")
    store(tmp_path).figures_file.write_text("{")
    refused(edgeloop("promote", "parts", "--config", config), "no figures of a shadow")


def write_figures(folder: Path, *, matched: int, candidate: str = "") -> None:
    state = store(folder).read()
    assert state.current is not None
    assert state.candidate is not None
    figures = ShadowFigures(
        current=state.current.digest,
        candidate=candidate or state.candidate.digest,
        frames=20,
        current_boxes=40,
        candidate_boxes=40,
        matched=matched,
        current_ms=10.0,
        candidate_ms=14.0,
        current_provider="cpu",
        candidate_provider="cpu",
    )
    store(folder).figures_file.write_text(figures.model_dump_json())


@pytest.mark.skipif(find_spec("ncnn") is None, reason="extra ncnn is not installed")
def test_a_file_of_another_engine_is_stored_with_its_facts(
    edgeloop: Call, tmp_path: Path, bundle: Path
) -> None:
    place = ["--state", tmp_path / "state"]
    parts = write_ncnn(tmp_path / "parts.ncnn")
    assert edgeloop("install", bundle, "--name", "parts", *place).code == 0
    assert edgeloop("shadow", parts, "--name", "parts", *place).code == 0
    assert edgeloop("promote", "parts", "--force", *place).code == 0
    current = store(tmp_path).read().current
    assert current is not None
    assert (current.suffix, current.proven, current.origin) == (".ncnn", True, "parts.ncnn")
    assert verify(store(tmp_path).current()).golden.verdict == "identical"
    assert edgeloop("rollback", "parts", *place).code == 0
    assert store(tmp_path).current().suffix == ".onnx"
    facts_path(parts).unlink()
    refused(edgeloop("install", parts, "--name", "parts", *place), "facts are missing", "copy both files")
