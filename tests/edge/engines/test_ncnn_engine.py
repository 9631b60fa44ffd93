"""ncnn: known answers, threads, several threads at a time, and files that are refused."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("ncnn", reason="extra ncnn is not installed")

from edgeloop.edge.engines.facts_file import write_facts
from edgeloop.edge.engines.ncnn_engine import NcnnEngine
from edgeloop.edge.engines.open_engine import open_engine
from edgeloop.edge.host.hardware import physical_cores
from edgeloop.edge.runtime.verification import verify
from edgeloop.models.errors import ModelError, UnavailableError
from edgeloop.models.facts.facts_path import facts_path
from tests.block_detector import SIDE, check_bright_cell, check_threads_agree, check_verifies
from tests.calls import Outcome
from tests.ncnn_files import PARAM, facts_of, pack, write_ncnn

ONE_CLASS = PARAM.format(classes=1, weights=3)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_ncnn(tmp_path / "blocks.ncnn")


def test_a_file_explains_itself_by_its_facts(model: Path) -> None:
    engine = open_engine(model, threads=2)
    assert engine.path == model
    assert engine.placement.engine == "ncnn"
    assert str(engine.placement) == "ncnn on cpu"
    assert [str(each.shape) for each in engine.outputs] == ["(1, 4, 12, 12)", "(1, 1, 12, 12)"]
    assert engine.threads == 2
    assert open_engine(model).threads == physical_cores()


def test_a_bright_cell_is_found_at_its_place(model: Path) -> None:
    check_bright_cell(model)


def test_outputs_stay_valid_after_the_next_call(model: Path) -> None:
    engine = open_engine(model)
    first = engine.run(np.ones((1, 3, SIDE, SIDE), np.float32))
    kept = [output.copy() for output in first]
    for _ in range(5):
        engine.run(np.zeros((1, 3, SIDE, SIDE), np.float32))
    for output, copy in zip(first, kept, strict=True):
        np.testing.assert_array_equal(output, copy)
        assert output.flags.owndata or output.base is not None
    np.testing.assert_allclose(first[1], 10, atol=1e-4)
    engine.close()
    np.testing.assert_array_equal(first[0], kept[0])


def test_an_input_that_is_a_view_is_read_in_order(model: Path) -> None:
    engine = open_engine(model)
    tensor = np.random.default_rng(0).random((1, SIDE, SIDE, 3), np.float32).transpose(0, 3, 1, 2)
    for output, expected in zip(engine.run(tensor), engine.run(tensor.copy()), strict=True):
        np.testing.assert_array_equal(output, expected)


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_at_a_time_find_what_one_finds(model: Path, threads: int) -> None:
    check_threads_agree(model, threads)


def test_the_file_verifies(model: Path) -> None:
    check_verifies(model)


def test_another_answer_than_the_golden_one_is_told(model: Path, tmp_path: Path) -> None:
    other = write_ncnn(tmp_path / "other.ncnn", gain=30)
    facts = json.loads(facts_path(other).read_text())
    write_facts(other, facts_of(other, {**facts["metadata"], "edgeloop": _document(model)}))
    assert verify(other).golden.verdict == "different"


def _document(model: Path) -> str:
    document: str = json.loads(facts_path(model).read_text())["metadata"]["edgeloop"]
    return document


@pytest.mark.parametrize(
    ("write", "said"),
    [
        pytest.param(lambda path: path.write_bytes(b"no zip"), "expected a zip of", id="no zip"),
        pytest.param(
            lambda path: path.write_bytes(pack(path, ONE_CLASS, b"\0" * 96).read_bytes()[:200]),
            "expected a zip of", id="half a zip",
        ),
        pytest.param(
            lambda path: zipfile.ZipFile(path, "w").close(), "expected a zip of model.ncnn.param", id="empty"
        ),
        pytest.param(
            lambda path: pack(path, ONE_CLASS, b"\0" * 96, compression=zipfile.ZIP_DEFLATED),
            "expected a zip without compression", id="compressed",
        ),
        pytest.param(lambda path: pack(path, "no layers", b""), "cannot read its layers", id="no layers"),
        pytest.param(
            lambda path: pack(path, ONE_CLASS.replace("Pooling", "Unheard"), b"\0" * 96),
            "cannot read its layers", id="an unknown layer",
        ),
    ],
)  # fmt: skip
def test_a_damaged_file_is_refused(tmp_path: Path, write: Callable[[Path], object], said: str) -> None:
    path = tmp_path / "damaged.ncnn"
    write(path)
    write_facts(path, facts_of(path, {}))
    with pytest.raises(ModelError, match=said) as caught:
        NcnnEngine(path)
    assert "\n" not in str(caught.value)


def test_facts_that_state_another_output(model: Path) -> None:
    write_facts(model, facts_of(model, {}, classes=2))
    engine = open_engine(model)
    with pytest.raises(ModelError, match=r"output 'out1' is \(1, 12, 12\), its facts say \(1, 2, 12, 12\)"):
        engine.run(np.zeros((1, 3, SIDE, SIDE), np.float32))


def test_an_output_that_the_layers_lack(model: Path) -> None:
    facts = facts_of(model, {})
    missing = facts.outputs[0].model_copy(update={"name": "out7"})
    write_facts(model, facts.model_copy(update={"outputs": (missing,)}))
    with pytest.raises(ModelError, match="ncnn gives no output 'out7'"):
        open_engine(model).run(np.zeros((1, 3, SIDE, SIDE), np.float32))


def test_vulkan_without_a_gpu(model: Path) -> None:
    import ncnn

    if ncnn.get_gpu_count():
        pytest.skip("there is a GPU with Vulkan")
    with pytest.raises(UnavailableError, match="provider 'vulkan': ncnn finds no GPU here"):
        open_engine(model, provider="vulkan")


def test_the_command_line_runs_it(edgeloop: Callable[..., Outcome], model: Path) -> None:
    done = edgeloop("inspect", model)
    assert done.code == 0
    assert "ncnn on cpu" in done.out
    done = edgeloop("run", model, "synth:conveyor", "--max-frames", 3, "--json")
    assert done.code == 0, done.err
    assert f"{model} runs with ncnn on cpu\n" in done.err
    assert len(done.out.splitlines()) >= 3


def test_what_ncnn_says_of_gpus_is_kept_off_the_terminal(
    model: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    said = b"vkCreateInstance failed -9\n[0 llvmpipe (LLVM 15)]  queueC=0[1]\nERROR: the driver is too old\n"
    monkeypatch.setattr("ncnn.get_gpu_count", lambda: os.write(2, said) * 0)
    with pytest.raises(UnavailableError, match="ncnn finds no GPU here"):
        open_engine(model, provider="vulkan")
    assert capfd.readouterr().err == "ERROR: the driver is too old\n"
