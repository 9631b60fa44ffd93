from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import onnx
import psutil
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeloop.edge.engines.session import Session
from edgeloop.models.errors import ModelError, NoInputError
from edgeloop.models.facts.tensor_info import TensorInfo
from tests.meter import ModelWriter


def test_says_what_the_file_is(write_model: ModelWriter) -> None:
    session = Session(write_model(metadata={"task": "detect"}), provider="cpu")
    assert session.placement.provider == "cpu"
    assert session.metadata == {"task": "detect"}
    assert session.inputs == (TensorInfo("images", (1, 3, 64, 64), "float32"),)
    assert session.outputs == (TensorInfo("output0", (1, 1, 6), "float32"),)


def test_open_axes_are_none(write_model: ModelWriter) -> None:
    session = Session(write_model(shape=["batch", 3, "height", "width"]))
    assert session.inputs[0].shape == (None, 3, None, None)


def test_runs(write_model: ModelWriter) -> None:
    (output,) = Session(write_model()).run(np.full((1, 3, 64, 64), 0.5, np.float32))
    assert output.tolist() == [[[0, 0, 64, 64, 0.5, 0]]]


def test_an_input_that_does_not_fit_is_one_line(write_model: ModelWriter) -> None:
    with pytest.raises(ModelError, match=r"model.onnx: inference failed: .*dimensions") as failed:
        Session(write_model()).run(np.zeros((1, 3, 32, 64), np.float32))
    assert "\n" not in str(failed.value)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"not a model " * 50, id="text"),
        pytest.param(None, id="cut off"),
    ],
)
def test_a_corrupt_file_is_one_line(
    write_model: ModelWriter, content: bytes | None, capfd: pytest.CaptureFixture[str]
) -> None:
    path = write_model()
    path.write_bytes(path.read_bytes()[:-100] if content is None else content)
    with pytest.raises(ModelError, match=r"model.onnx: expected an ONNX model: ") as refused:
        Session(path)
    assert "\n" not in str(refused.value)
    assert capfd.readouterr() == ("", "")


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(NoInputError, match=r"no.onnx: there is no such model file"):
        Session(tmp_path / "no.onnx")


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="expected an ONNX file, got a folder"):
        Session(tmp_path)


@pytest.mark.parametrize("absolute", [True, False])
def test_weights_in_a_second_file_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, absolute: bool
) -> None:
    path = _write_two_files(tmp_path)
    if absolute:
        stored = onnx.load(str(path), load_external_data=False)
        stored.graph.initializer[0].external_data[0].value = str(tmp_path / "weights.bin")
        path.write_bytes(stored.SerializeToString())
    monkeypatch.chdir(tmp_path)  # where a file of that name lies
    with pytest.raises(ModelError, match=r"two.onnx: keeps its weights in a second file"):
        Session(path)


def test_weights_beside_a_model_are_read_where_that_is_asked_for(tmp_path: Path) -> None:
    (y,) = Session(_write_two_files(tmp_path), weights_beside=True).run(np.full(64, 2, np.float32))
    assert y.tolist() == [3] * 64


def test_weights_beside_a_model_are_in_its_own_folder(tmp_path: Path) -> None:
    path = _write_two_files(tmp_path)
    inside = tmp_path / "inside" / path.name
    inside.parent.mkdir()
    stored = onnx.load(str(path), load_external_data=False)
    stored.graph.initializer[0].external_data[0].value = "../weights.bin"
    inside.write_bytes(stored.SerializeToString())
    with pytest.raises(ModelError, match=r"two.onnx: "):
        Session(inside, weights_beside=True)


def _write_two_files(folder: Path) -> Path:
    """A model that adds ones, which lie in a file of their own."""
    weights = numpy_helper.from_array(np.ones(64, np.float32), "weights")
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "weights"], ["y"])],
        "two files",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [64])],
        [weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    path = folder / "two.onnx"
    onnx.save(model, str(path), save_as_external_data=True, location="weights.bin", size_threshold=0)
    return path


def test_the_file_does_not_stay_in_memory(tmp_path: Path) -> None:
    path = _write_large(tmp_path, 1_000_000)
    tracemalloc.start()
    try:
        session = Session(path)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert session.inputs[0].shape == (1_000_000,)
    assert held < path.stat().st_size / 2


@pytest.mark.slow
def test_sessions_that_are_closed_take_no_memory_together(tmp_path: Path) -> None:
    path = _write_large(tmp_path, 10_000_000)  # 40 MB of weights
    x = np.zeros(10_000_000, np.float32)
    resident_mb = []
    for _ in range(4):
        session = Session(path)
        session.run(x)
        session.close()
        resident_mb.append(psutil.Process().memory_info().rss / 1e6)
    assert max(resident_mb[1:]) < resident_mb[0] + 20


def _write_large(folder: Path, floats: int) -> Path:
    """A model that adds so many weights."""
    path = folder / "large.onnx"
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "weights"], ["y"])],
        "large",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [floats])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [floats])],
        [numpy_helper.from_array(np.ones(floats, np.float32), "weights")],
    )
    onnx.save(helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)]), path)
    return path


def test_onnxruntime_keeps_quiet(write_model: ModelWriter, capfd: pytest.CaptureFixture[str]) -> None:
    path = write_model()
    model = onnx.load(str(path))
    # Files of old exporters list their weights among the inputs, for which onnxruntime logs a warning each.
    model.graph.input.append(helper.make_tensor_value_info("first", TensorProto.INT64, [1]))
    onnx.save(model, str(path))
    session = Session(path)
    assert [tensor.name for tensor in session.inputs] == ["images"]
    assert capfd.readouterr() == ("", "")
