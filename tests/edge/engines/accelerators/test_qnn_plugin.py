"""Qualcomm's plug-in for onnxruntime, in its emulation of the NPU where the package is installed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeloop.edge.engines import providers
from edgeloop.edge.engines.accelerators.qnn_plugin import has_plugin, is_emulated, open_on_plugin
from edgeloop.edge.engines.session import Session
from edgeloop.models.errors import UnavailableError
from tests.meter import ModelWriter

needs_plugin = pytest.mark.skipif(not has_plugin(), reason="no onnxruntime-qnn: pip install 'edgeloop[qnn]'")


@pytest.fixture
def quantized(tmp_path: Path) -> Path:
    """A graph of 8 bits: Relu between quantized tensors."""
    scale, zero = np.array(1 / 255, np.float32), np.array(0, np.uint8)
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "s", "z"], ["xd"]),
        helper.make_node("Relu", ["xd"], ["r"]),
        helper.make_node("QuantizeLinear", ["r", "s", "z"], ["rq"]),
        helper.make_node("DequantizeLinear", ["rq", "s", "z"], ["y"]),
    ]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, 8, 8]) for name in ("x", "y")]
    weights = [numpy_helper.from_array(scale, "s"), numpy_helper.from_array(zero, "z")]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], weights)
    path = tmp_path / "quantized.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=9), path)
    return path


@needs_plugin
@pytest.mark.slow
def test_a_quantized_model_runs_on_the_npu_alone(quantized: Path) -> None:
    session = Session(quantized, provider="qnn")
    assert session.placement.share == 1
    assert str(session.placement).startswith("qnn on simulator, 100 %" if is_emulated() else "qnn, 100 %")
    image = np.random.default_rng(0).random((1, 3, 8, 8), np.float32)
    np.testing.assert_allclose(session.run(image)[0], image, atol=1 / 255)


@needs_plugin
@pytest.mark.slow
def test_a_model_that_the_npu_does_not_take_is_refused(write_model: ModelWriter) -> None:
    with pytest.raises(UnavailableError, match="provider 'qnn': "):
        Session(write_model(), provider="qnn")
    assert Session(write_model(), provider="qnn", allow_cpu=True).placement.provider == "cpu"


def test_a_plugin_without_a_device_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeloop.edge.engines.accelerators.qnn_plugin._register", lambda: None)
    monkeypatch.setattr(ort, "get_ep_devices", list)
    with pytest.raises(UnavailableError, match="its plug-in finds no device here"):
        open_on_plugin(b"", {})


def test_auto_does_not_choose_the_plugin(write_model: ModelWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(providers, "has_plugin", lambda: True)
    assert Session(write_model()).placement.provider != "qnn"
