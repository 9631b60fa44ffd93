"""OpenVINO runs the same ONNX files, says what it cannot run, and reads nothing but the file."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeloop.edge.engines import open_engine as choice
from edgeloop.edge.engines.engine_protocol import Engine
from edgeloop.edge.engines.open_engine import open_engine
from edgeloop.edge.engines.placement import Placement
from edgeloop.edge.engines.session import Session
from edgeloop.edge.runtime.detector import Detector
from edgeloop.models.bundle.seal import seal
from edgeloop.models.errors import ModelError, NoInputError, UnavailableError
from tests.calls import Outcome
from tests.marks import needs_openvino
from tests.meter import ModelWriter

pytestmark = needs_openvino


def opened(path: Path, **settings: Any) -> Engine:
    return open_engine(path, **{"provider": "openvino", **settings})


def test_all_of_a_detector_runs_there(block_model: Path) -> None:
    engine = opened(block_model)
    assert engine.placement == Placement("openvino", 1.0, engine="openvino")
    assert str(engine.placement) == "openvino, 100 % of nodes"
    (output,) = engine.run(np.ones((1, 3, 128, 128), np.float32))
    assert output[0, 0].tolist() == pytest.approx([0, 0, 128, 128, 0.9, 0], abs=1e-3)


@pytest.mark.parametrize(
    "model",
    [
        {},
        {"metadata": {"task": "detect", "names": "{0: 'Schraube ⌀'}", "number": "7"}},
        {"shape": [1, 64, 64, 3], "dtype": "uint8"},
        {"shape": ["batch", 3, "height", "width"]},
    ],
    ids=["as exported", "metadata", "bytes", "open size"],
)
def test_the_file_is_described_as_onnxruntime_describes_it(
    write_model: ModelWriter, model: dict[str, Any]
) -> None:
    path = write_model(**model)
    ours, theirs = Session(path, provider="cpu"), opened(path)
    assert (theirs.inputs, theirs.outputs) == (ours.inputs, ours.outputs)
    assert theirs.metadata == ours.metadata
    shape = [side or (1, 3, 96, 32)[axis] for axis, side in enumerate(ours.inputs[0].shape)]
    tensor = np.random.default_rng(0).integers(0, 255, shape).astype(ours.inputs[0].dtype)
    np.testing.assert_allclose(theirs.run(tensor)[0], ours.run(tensor)[0], rtol=1e-5)


@pytest.mark.parametrize("name", ["yolox_nano.onnx", "nanodet_m.onnx", "FastestDet.onnx"])
def test_detectors_of_other_families_give_the_same(shared: Path, name: str) -> None:
    path = shared / "data/onnx" / name
    ours, theirs = Session(path, provider="cpu"), opened(path)
    assert (theirs.inputs, theirs.outputs) == (ours.inputs, ours.outputs)
    shape = [side or 1 for side in ours.inputs[0].shape]
    tensor = np.random.default_rng(0).random(shape, np.float32)
    for actual, expected in zip(theirs.run(tensor), ours.run(tensor), strict=True):
        np.testing.assert_allclose(actual, expected, atol=1e-3)


def test_the_size_of_the_image_is_filled_in(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMax", ["images"], ["brightest"], keepdims=0),
            helper.make_node("Cast", ["size"], ["sides"], to=TensorProto.FLOAT),
            helper.make_node("Add", ["sides", "brightest"], ["boxes"]),
        ],
        "size",
        [
            helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, 32, 64]),
            helper.make_tensor_value_info("size", TensorProto.INT64, [1, 2]),
        ],
        [helper.make_tensor_value_info("boxes", TensorProto.FLOAT, [1, 2])],
    )
    (boxes,) = opened(_saved(tmp_path, graph)).run(np.ones((1, 3, 32, 64), np.float32))
    assert boxes.tolist() == [[65, 33]]


def test_outputs_stay_and_a_changed_buffer_is_read_again(write_model: ModelWriter) -> None:
    engine, buffer = opened(write_model()), np.full((1, 3, 64, 64), 0.25, np.float32)
    first = engine.run(buffer)[0]
    buffer[:] = 0.75
    second = engine.run(buffer)[0]
    assert (first[0, 0, 4], second[0, 0, 4]) == (0.25, 0.75)
    turned = np.zeros((64, 64, 3), np.float32).transpose(2, 0, 1)[None]  # not contiguous
    assert engine.run(turned)[0][0, 0, 4] == 0


@pytest.mark.parametrize("parallel", [1, 2])
def test_threads_get_their_own_answers(write_model: ModelWriter, parallel: int) -> None:
    engine = opened(write_model(), threads=1, parallel=parallel)
    assert engine.threads == 1

    def ask(value: int) -> float:
        return float(engine.run(np.full((1, 3, 64, 64), value / 64, np.float32))[0][0, 0, 4])

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(ask, range(64))) == [value / 64 for value in range(64)]


@pytest.mark.parametrize(
    "tensor",
    [np.zeros((1, 3, 32, 64), np.float32), np.zeros((1, 3, 64, 64), np.uint8)],
    ids=["shape", "dtype"],
)
def test_an_input_that_does_not_fit_is_one_line(write_model: ModelWriter, tensor: Any) -> None:
    engine = opened(write_model())
    with pytest.raises(ModelError, match=r"model.onnx: inference failed: ") as failed:
        engine.run(tensor)
    assert "\n" not in str(failed.value)
    assert engine.run(np.ones((1, 3, 64, 64), np.float32))[0][0, 0, 4] == 1


def test_what_it_lacks_is_said_and_is_left_to_the_cpu_only_if_that_is_allowed(tmp_path: Path) -> None:
    """A graph of four nodes that OpenVINO could run but for its determinant."""
    nodes = [
        helper.make_node("Relu", ["x"], ["a"]),
        helper.make_node("Det", ["a"], ["b"]),
        helper.make_node("Add", ["b", "b"], ["y"]),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 2])
    path = _saved(
        tmp_path,
        helper.make_graph(nodes, "g", [x], [helper.make_tensor_value_info("y", TensorProto.FLOAT, [])]),
    )
    with pytest.raises(UnavailableError, match=r"'openvino': does not run this model: .*Det"):
        opened(path)
    engine = opened(path, allow_cpu=True)
    assert engine.placement.provider == "cpu"
    assert "does not run this model" in str(engine.placement)
    assert engine.run(np.eye(2, dtype=np.float32))[0] == 2


@pytest.mark.skipif(Path("/dev/accel/accel0").exists(), reason="this machine has an NPU")
def test_a_device_that_is_not_there_is_an_error(write_model: ModelWriter) -> None:
    with pytest.raises(UnavailableError, match="provider 'openvino-npu': did not start: OpenVINO finds CPU"):
        opened(write_model(), provider="openvino-npu")
    placement = opened(write_model(), provider="openvino-npu", allow_cpu=True).placement
    assert placement.provider == "cpu"
    assert "did not start" in placement.refused


@pytest.mark.parametrize("content", [b"", b"not a model " * 50, None], ids=["empty", "text", "cut off"])
def test_a_model_at_fault_is_not_blamed_on_the_device(
    write_model: ModelWriter, content: bytes | None, capfd: pytest.CaptureFixture[str]
) -> None:
    path = write_model()
    path.write_bytes(path.read_bytes()[:-100] if content is None else content)
    with pytest.raises(ModelError, match=r"model.onnx: expected an ONNX model"):
        opened(path)
    assert capfd.readouterr() == ("", "")


def test_a_bundle_that_was_changed_is_refused(write_model: ModelWriter) -> None:
    path = write_model()
    path.write_bytes(seal(path.read_bytes()))
    assert opened(path).outputs
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"model.onnx: damaged or changed"):
        opened(path)
    with pytest.raises(NoInputError, match="there is no such model file"):
        opened(path.with_name("no.onnx"))


def test_weights_in_a_second_file_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = numpy_helper.from_array(np.ones(64, np.float32), "weights")
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [64]) for name in "xy")
    node = helper.make_node("Add", ["x", "weights"], ["y"])
    model = helper.make_model(helper.make_graph([node], "two", [x], [y], [weights]), ir_version=9)
    path = tmp_path / "two.onnx"
    onnx.save(model, str(path), save_as_external_data=True, location="weights.bin", size_threshold=0)
    monkeypatch.chdir(tmp_path)  # where OpenVINO would look for the file
    with pytest.raises(ModelError, match=r"two.onnx: keeps its weights in a second file"):
        opened(path)


def test_it_is_not_installed(write_model: ModelWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "find_spec", lambda _: None)
    with pytest.raises(UnavailableError, match=r"openvino, which is not installed here; pip install"):
        opened(write_model())


def test_footage_has_a_stream_for_each_image(write_model: ModelWriter) -> None:
    detector = Detector(write_model(), provider="openvino", throughput=True)
    assert detector.placement.engine == "openvino"
    assert detector.threads.count >= 1


@pytest.mark.slow
def test_it_is_imported_only_where_it_runs_and_reports_to_nobody(block_model: Path, tmp_path: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nimport edgeloop\n"
        "from edgeloop.edge.engines.open_engine import open_engine\n"
        "open_engine(Path(sys.argv[1]), provider='cpu')\n"
        "assert 'openvino' not in sys.modules\n"
        "open_engine(Path(sys.argv[1]), provider='openvino')\n"
        "assert 'openvino' in sys.modules\n"
        "assert not [name for name in sys.modules if name.startswith('openvino_telemetry.')]\n"
        "import psutil\nassert psutil.Process().children() == []\n"
    )
    environment = os.environ | {"HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code, str(block_model)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_every_verb_names_it(
    edgeloop: Callable[..., Outcome], block_model: Path, clip: Path, tmp_path: Path
) -> None:
    figures = tmp_path / "run.json"
    ran = edgeloop("run", block_model, clip, "--provider", "openvino", "--summary", figures)
    assert "block.onnx runs on openvino, 100 % of nodes" in ran.err
    assert '"provider_share": 1.0' in figures.read_text()
    assert "openvino, 100 % of nodes" in edgeloop("inspect", block_model, "--provider", "openvino").out


def _saved(folder: Path, graph: onnx.GraphProto) -> Path:
    path = folder / "graph.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path
