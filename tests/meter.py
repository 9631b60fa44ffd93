"""A small ONNX detector with known boxes, whose confidence is the mean of the first channel that it gets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE = 64
DTYPES = {"float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16, "uint8": TensorProto.UINT8}
FACTS = {"task": "detect", "stride": "32", "names": "{0: 'car', 1: 'tram'}", "imgsz": f"[{SIDE}, {SIDE}]"}

ModelWriter = Callable[..., Path]


def write_meter(
    path: Path,
    rows: list[list[float]] | None = None,
    *,
    shape: list[int | str] | None = None,
    dtype: str = "float32",
    metadata: dict[str, str] | None = None,
) -> Path:
    """Write the detector to a file.

    Args:
        path: Path of the file.
        rows: Boxes, each x1, y1, x2, y2 in pixels of the model's input, and the class.
        shape: Shape of the input; NHWC if its last dimension is 3.
        dtype: Element type of the input.
        metadata: Metadata of the file; None for that of an Ultralytics export.

    Returns:
        Path of the file.
    """
    graph = _graph(rows or [[0, 0, SIDE, SIDE, 0]], shape or [1, 3, SIDE, SIDE], dtype)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, FACTS if metadata is None else metadata)
    onnx.save(model, str(path))
    return path


def _graph(rows: list[list[float]], shape: list[int | str], dtype: str) -> onnx.GraphProto:
    channel_axis = 3 if shape[3] == 3 else 1
    constants = {
        "first": np.array([0], np.int64),
        "second": np.array([1], np.int64),
        "channel_axis": np.array([channel_axis], np.int64),
        "boxes": np.array([[row[:4] for row in rows]], np.float32),
        "classes": np.array([[row[4:] for row in rows]], np.float32),
        "ones": np.ones((1, len(rows), 1), np.float32),
    }
    nodes = [
        helper.make_node("Cast", ["images"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Slice", ["pixels", "first", "second", "channel_axis"], ["channel"]),
        helper.make_node("ReduceMean", ["channel"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["ones", "mean"], ["confidence"]),
        helper.make_node("Concat", ["boxes", "confidence", "classes"], ["output0"], axis=2),
    ]
    return helper.make_graph(
        nodes,
        "meter",
        [helper.make_tensor_value_info("images", DTYPES[dtype], shape)],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, [1, len(rows), 6])],
        [numpy_helper.from_array(value, key) for key, value in constants.items()],
    )
