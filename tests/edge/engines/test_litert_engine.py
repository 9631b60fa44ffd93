"""LiteRT: known answers, several threads at a time, and files that are refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert", reason="extra litert is not installed")

from ai_edge_litert.interpreter import Interpreter

from edgeloop.edge.engines.facts_file import EngineFacts, read_facts, write_facts
from edgeloop.edge.engines.litert_engine import LitertEngine
from edgeloop.edge.engines.open_engine import engine_of, open_engine
from edgeloop.edge.host.hardware import physical_cores
from edgeloop.models.errors import ModelError, UsageError
from edgeloop.models.facts.facts_path import facts_path
from edgeloop.models.weights.digest import file_sha256
from tests.block_detector import GRID, SIDE, check_bright_cell, check_threads_agree, check_verifies
from tests.calls import Outcome
from tests.calls import edgeloop as run_edgeloop
from tests.litert_files import copy_litert, write_litert

ENGINE = "edgeloop.edge.engines.litert_engine"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_litert(tmp_path / "blocks.tflite")


def test_a_file_explains_itself_by_its_facts(model: Path) -> None:
    assert engine_of(model) == "litert"
    engine = open_engine(model, threads=2)
    assert isinstance(engine, LitertEngine)
    assert engine.path == model
    assert str(engine.placement) == "litert on cpu"
    assert [each.shape for each in engine.inputs] == [(1, SIDE, SIDE, 3)]
    assert [each.shape for each in engine.outputs] == [(1, 4, GRID, GRID), (1, 1, GRID, GRID)]
    assert engine.threads == 2
    assert open_engine(model).threads == physical_cores()


def test_a_bright_cell_is_found_at_its_place(model: Path) -> None:
    check_bright_cell(model)


def test_outputs_stay_valid_after_the_next_call(model: Path) -> None:
    engine = open_engine(model)
    first = engine.run(np.ones((1, SIDE, SIDE, 3), np.float32))
    kept = [output.copy() for output in first]
    engine.run(np.zeros((1, SIDE, SIDE, 3), np.float32))
    engine.close()
    for output, copy in zip(first, kept, strict=True):
        np.testing.assert_array_equal(output, copy)
    np.testing.assert_allclose(first[1], 10, atol=1e-4)


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_at_a_time_find_what_one_finds(model: Path, threads: int) -> None:
    check_threads_agree(model, threads)


def test_there_are_no_more_interpreters_than_the_cores_carry(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{ENGINE}.physical_cores", lambda: 4)
    opened: list[int] = []

    def count(**settings: object) -> object:
        opened.append(1)
        return Interpreter(**settings)

    monkeypatch.setattr(f"{ENGINE}.Interpreter", count)
    for threads, most in ((1, 4), (2, 2), (4, 1), (8, 1)):
        opened.clear()
        engine = open_engine(model, threads=threads)
        assert len(opened) == 1  # the others when they are needed
        tensor = np.zeros((1, SIDE, SIDE, 3), np.float32)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(engine.run, [tensor] * 200))
        assert len(opened) <= most


def test_a_failed_call_leaves_the_interpreter_to_the_next(model: Path) -> None:
    engine = open_engine(model, threads=physical_cores())
    for _ in range(3):
        with pytest.raises(ModelError, match=r"blocks\.tflite: inference failed: .*dimension"):
            engine.run(np.zeros((1, 3, SIDE, SIDE), np.float32))
    assert engine.run(np.ones((1, SIDE, SIDE, 3), np.float32))[1].max() == pytest.approx(10, abs=1e-4)


def test_the_file_verifies(model: Path) -> None:
    check_verifies(model)


@pytest.mark.parametrize("keep", [0, 7, 200, -1])
def test_a_truncated_file_is_refused(model: Path, keep: int) -> None:
    facts = read_facts(model, "litert")
    model.write_bytes(model.read_bytes()[:keep])
    with pytest.raises(ModelError, match=r"is not the file that blocks\.tflite\.json was written for"):
        open_engine(model)
    _write_facts_of_it(model, facts)
    with pytest.raises(ModelError, match=r"LiteRT cannot read it: .*; export it again") as caught:
        open_engine(model)
    assert "\n" not in str(caught.value)


def test_facts_are_missing_or_of_another_file(
    edgeloop: Callable[..., Outcome], model: Path, tmp_path: Path
) -> None:
    other = write_litert(tmp_path / "other.tflite", gain=30)
    alone = copy_litert(model, tmp_path / "alone.tflite")
    facts_path(alone).unlink()
    mixed = copy_litert(model, tmp_path / "mixed.tflite")
    facts_path(mixed).write_bytes(facts_path(other).read_bytes())
    for path, said in (
        (alone, "its facts are missing, expected alone.tflite.json beside it"),
        (mixed, "is not the file that mixed.tflite.json was written for"),
    ):
        done = edgeloop("run", path, "synth:conveyor", "--max-frames", 1)
        assert done.code == 65
        assert said in done.err


def test_facts_that_state_another_tensor(model: Path) -> None:
    facts = read_facts(model, "litert")
    boxes, scores = facts.outputs
    wrong = scores.model_copy(update={"shape": (1, 2, GRID, GRID)})
    write_facts(model, facts.model_copy(update={"outputs": (boxes, wrong)}))
    with pytest.raises(ModelError, match=r"'scores_8' is float32 \(1, 12, 12, 1\), its facts say float32"):
        open_engine(model)
    absent = scores.model_copy(update={"name": "scores_9"})
    write_facts(model, facts.model_copy(update={"outputs": (boxes, absent)}))
    with pytest.raises(ModelError, match="has no tensor 'scores_9' that its facts name, only"):
        open_engine(model)


def test_another_provider_is_a_usage_error(model: Path) -> None:
    with pytest.raises(UsageError, match=r"blocks\.tflite runs with litert, expected auto, cpu"):
        open_engine(model, provider="cuda")


def test_the_package_is_not_installed(
    edgeloop: Callable[..., Outcome], model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "edgeloop.edge.engines.open_engine._is_here", lambda package: package != "ai_edge_litert"
    )
    done = edgeloop("verify", model)
    assert done.code == 69
    assert "runs with litert, which is not installed here; pip install 'edgeloop[litert]'" in done.err


def test_the_command_line_runs_it(edgeloop: Callable[..., Outcome], model: Path) -> None:
    done = edgeloop("inspect", model)
    assert done.code == 0
    assert "litert on cpu" in done.out
    done = edgeloop("run", model, "synth:conveyor", "--max-frames", 3, "--json")
    assert done.code == 0, done.err
    assert len([json.loads(line) for line in done.out.splitlines()]) >= 3


def _write_facts_of_it(model: Path, facts: EngineFacts) -> None:
    write_facts(model, facts.model_copy(update={"sha256": file_sha256(model)}))


def test_opening_a_file_says_nothing_on_the_terminal(model: Path) -> None:
    # A process of its own: LiteRT says it once in each.
    done = run_edgeloop("verify", model, timeout_s=60)
    assert done.returncode == 0
    assert done.stderr == ""
