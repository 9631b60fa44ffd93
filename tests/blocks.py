"""Footage of a white block, and an ONNX detector whose only class it is."""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

CONFIDENCE = 0.9


def draw_block(index: int) -> NDArray[np.uint8]:
    """Frame `index` of the clip: 120x160x3 uint8, BGR, with the block in its `block_box`."""
    image = np.full((120, 160, 3), 40, np.uint8)
    x1, y1, x2, y2 = block_box(index)
    image[y1:y2, x1:x2] = 255
    return image


def block_box(index: int) -> tuple[int, int, int, int]:
    """Box of the block in frame `index`, xyxy in pixels."""
    return 10 + 2 * index, 40, 50 + 2 * index, 80


def block_finder(side: int = 128) -> onnx.ModelProto:
    """Detector made of reductions: the first and last columns and rows that hold a bright pixel."""
    constants = {
        "limit": np.float32(0.8),
        "zero": np.float32(0),
        "one": np.float32(1),
        "none": np.float32(-1),
        "far": np.float32(side),
        "places": np.arange(side, dtype=np.float32),
        "score": np.float32(CONFIDENCE),
        "class_id": np.zeros(1, np.float32),
        "flat": np.array([1], np.int64),
        "shape": np.array([1, 1, 6], np.int64),
        "others": np.zeros((1, 299, 6), np.float32),
        "no_axes": np.array([0, 1, 2, 3], np.int64),
        "column_axes": np.array([0, 1, 2], np.int64),
        "row_axes": np.array([0, 1, 3], np.int64),
        "all": np.array([0], np.int64),
    }
    nodes = [
        helper.make_node("Greater", ["images", "limit"], ["bright"]),
        helper.make_node("Where", ["bright", "one", "zero"], ["mask"]),
        helper.make_node("ReduceMax", ["mask", "no_axes"], ["any"], keepdims=0),
        helper.make_node("Mul", ["any", "score"], ["confidence_0"]),
        helper.make_node("Reshape", ["confidence_0", "flat"], ["confidence"]),
    ]
    for axis, first, last in (("column", "x1", "x2"), ("row", "y1", "y2")):
        nodes += [
            helper.make_node("ReduceMax", ["mask", f"{axis}_axes"], [axis], keepdims=0),
            helper.make_node("Greater", [axis, "zero"], [f"{axis}_lit"]),
            helper.make_node("Where", [f"{axis}_lit", "places", "far"], [f"{axis}_low"]),
            helper.make_node("ReduceMin", [f"{axis}_low", "all"], [first]),
            helper.make_node("Where", [f"{axis}_lit", "places", "none"], [f"{axis}_high"]),
            helper.make_node("ReduceMax", [f"{axis}_high", "all"], [f"{last}_inner"]),
            helper.make_node("Add", [f"{last}_inner", "one"], [last]),
        ]
    nodes += [
        helper.make_node("Concat", ["x1", "y1", "x2", "y2", "confidence", "class_id"], ["row_0"], axis=0),
        helper.make_node("Reshape", ["row_0", "shape"], ["found"]),
        helper.make_node("Concat", ["found", "others"], ["output0"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "block",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, side, side])],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, [1, 300, 6])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    facts = {"task": "detect", "stride": "32", "names": "{0: 'block'}", "imgsz": f"[{side}, {side}]"}
    helper.set_model_props(model, {**facts, "batch": "1", "end2end": "True"})
    return model
