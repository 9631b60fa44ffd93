"""A small bundle with the dense head of a real detector: random weights between the image and 84 boxes."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgeloop.edge.runtime.detector import Detector
from edgeloop.edge.runtime.verification import make_golden
from edgeloop.models.bundle.document import Golden, Measured, Record, WeightPrecision
from edgeloop.models.bundle.seal import seal
from edgeloop.models.spec import ModelSpec

SIDE = 64
CELLS = 8 * 8 + 4 * 4 + 2 * 2
NAMES = ("car", "tram")


def dense_finder() -> onnx.ModelProto:
    """Detector whose boxes and scores each depend on the whole image, as those of a real one do."""
    rng = np.random.default_rng(8)
    rows = 4 + len(NAMES)
    weights = rng.normal(0, 0.2, (3 * 8 * 8, rows, CELLS)).astype(np.float32)
    weights[:, :4] *= 20
    constants = {
        "weights": weights.reshape(3 * 8 * 8, rows * CELLS),
        "flat": np.array([1, 3 * 8 * 8], np.int64),
        "dense": np.array([1, rows, CELLS], np.int64),
        "split": np.array([4, len(NAMES)], np.int64),
    }
    nodes = [
        helper.make_node("AveragePool", ["images"], ["pooled"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("Reshape", ["pooled", "flat"], ["features"]),
        helper.make_node("MatMul", ["features", "weights"], ["answers"]),
        helper.make_node("Reshape", ["answers", "dense"], ["rows"]),
        helper.make_node("Split", ["rows", "split"], ["boxes", "logits"], axis=1),
        helper.make_node("Sigmoid", ["logits"], ["scores"]),
        helper.make_node("Concat", ["boxes", "scores"], ["output0"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "dense",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, [1, rows, CELLS])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def write_bundle(path: Path, *, precision: WeightPrecision = "fp32") -> Path:
    """Write the detector as `edgeloop export` writes a bundle: with its golden sample, and sealed."""
    model = dense_finder()
    record = Record(precision=precision, measured=Measured(latency_ms=1.5), golden=golden_of(model))
    helper.set_model_props(model, spec().to_metadata(record))
    path.write_bytes(seal(model.SerializeToString()))
    return path


def golden_of(model: onnx.ModelProto) -> Golden:
    with TemporaryDirectory() as folder:
        path = Path(folder, "plain.onnx")
        stated = onnx.ModelProto()
        stated.CopyFrom(model)
        helper.set_model_props(stated, spec().to_metadata())
        onnx.save(stated, path)
        return make_golden(Detector(path, provider="cpu"))


def spec() -> ModelSpec:
    return ModelSpec(
        head="classic",
        input_size=(SIDE, SIDE),
        layout="NCHW",
        dtype="float32",
        color="RGB",
        scale=255.0,
        centered=True,
        pad_value=114,
        names=NAMES,
        stride=32,
        confidence=0.25,
        iou=0.7,
        max_detections=300,
    )
