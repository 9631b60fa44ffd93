"""Choice of the engine by the suffix, and what is said if it is not there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edgeloop.edge.engines import open_engine as module
from edgeloop.edge.engines.open_engine import (
    ENGINES,
    EngineKind,
    engine_of,
    installed_engines,
    model_digest,
    open_engine,
    provider_names,
)
from edgeloop.edge.engines.session import Session
from edgeloop.models.errors import NoInputError, UnavailableError, UsageError
from edgeloop.models.facts.facts_path import facts_path
from edgeloop.models.weights.digest import file_sha256
from tests.calls import Outcome
from tests.meter import ModelWriter

ABSENT = EngineKind(".absent", "no_such_package.within", "absent", "absent_engine:AbsentEngine", ("npu",))


@pytest.fixture
def absent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A file of an engine whose package is not installed."""
    monkeypatch.setattr(module, "ENGINES", {**ENGINES, "absent": ABSENT})
    path = tmp_path / "parts.absent"
    path.write_bytes(b"")
    return path


@pytest.mark.parametrize(
    ("name", "engine"),
    [("x.onnx", "onnxruntime"), ("x", "onnxruntime"), ("x.bin", "onnxruntime"), ("x.NCNN", "ncnn")],
)
def test_the_suffix_names_the_engine(name: str, engine: str) -> None:
    assert engine_of(Path(name)) == engine


def test_every_suffix_has_one_engine() -> None:
    suffixes = [kind.suffix for kind in ENGINES.values()]
    assert len(set(suffixes)) == len(suffixes)
    assert ".onnx" not in suffixes


def test_an_onnx_file_runs_in_onnxruntime(write_model: ModelWriter) -> None:
    engine = open_engine(write_model(), provider="cpu", threads=1)
    assert isinstance(engine, Session)
    assert (engine.placement.engine, engine.threads) == ("onnxruntime", 1)


def test_an_engine_that_is_not_installed(absent: Path) -> None:
    assert not installed_engines()["absent"]
    with pytest.raises(UnavailableError, match=r"runs with absent.*pip install 'edgeloop\[absent\]'"):
        open_engine(absent)


def test_a_provider_of_another_engine(absent: Path) -> None:
    with pytest.raises(UsageError, match=r"parts\.absent runs with absent, expected auto, npu"):
        open_engine(absent, provider="cuda")


def test_the_command_line_takes_the_providers_of_every_engine() -> None:
    names = provider_names()
    assert {"cpu", "cuda"} <= set(names)
    assert all(set(kind.providers) <= set(names) for kind in ENGINES.values())
    assert len(set(names)) == len(names)


def test_the_command_line_says_it_in_one_line(edgeloop: Callable[..., Outcome], absent: Path) -> None:
    done = edgeloop("verify", absent)
    assert done.code == 69
    assert done.err.count("\n") == 1
    assert "is not installed here; pip install 'edgeloop[absent]'" in done.err
    assert edgeloop("verify", absent, "--provider", "cuda").code == 2


def test_a_missing_file_is_no_input(tmp_path: Path) -> None:
    with pytest.raises(NoInputError, match="there is no such model file"):
        open_engine(tmp_path / "parts.onnx")


def test_a_model_is_named_by_its_facts_if_it_has_some(write_model: ModelWriter, tmp_path: Path) -> None:
    onnx = write_model()
    assert model_digest(onnx) == file_sha256(onnx)
    path = tmp_path / "parts.ncnn"
    path.write_bytes(b"layers")
    facts_path(path).write_text("{}")
    assert model_digest(path) == file_sha256(facts_path(path))
