"""Detectors that fail on white pictures, and find the block in all others; or fail on all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.blocks import block_finder

WHITE = np.full((120, 160, 3), 255, np.uint8)

BAD_ROWS = {
    "nan": [np.nan] * 6,
    "infinite": [0, 0, 9, 9, np.inf, 0],
    "negative": [0, 0, 9, 9, -np.inf, 0],
    "far": [0, 0, 1e7, 9, 0.9, 0],
    "sure": [0, 0, 9, 9, 7, 0],
    "nameless": [0, 0, 9, 9, 0.9, 5],
}
"""Rows of an output that is no answer."""


def write_fault_model(path: Path, fault: str, names: str = "{0: 'block'}", *, always: bool = False) -> Path:
    """Write a block finder that fails on white pictures, or on all.

    Args:
        path: File to write.
        fault: "hang" for no end, "raise" for an error, or one of `BAD_ROWS`.
        names: Class names, as Ultralytics writes them.
        always: Fail on every picture.
    """
    model = block_finder()
    graph = model.graph
    for node in graph.node:
        node.output[:] = ["sound" if name == "output0" else name for name in node.output]
    constants = {
        "nearly": np.float32(-1 if always else 0.6),
        "limit_2": np.float32(1e15),
        "zero_1": np.zeros(1, np.float32),
    }
    graph.initializer.extend(numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items())
    graph.node.extend(
        [
            helper.make_node("ReduceMean", ["mask", "no_axes"], ["share"], keepdims=0),
            helper.make_node("Greater", ["share", "nearly"], ["white"]),
        ]
    )
    makers = {"hang": _hang, "raise": _raise}
    graph.node.extend(makers[fault]() if fault in makers else _bad(graph, fault))
    del model.metadata_props[:]
    facts = {"task": "detect", "stride": "32", "names": names, "imgsz": "[128, 128]"}
    helper.set_model_props(model, {**facts, "batch": "1", "end2end": "True"})
    onnx.save(model, str(path))
    return path


def _bad(graph: onnx.GraphProto, fault: str) -> list[onnx.NodeProto]:
    graph.initializer.append(numpy_helper.from_array(np.array(BAD_ROWS[fault], np.float32), "bad"))
    return [helper.make_node("Where", ["white", "bad", "sound"], ["output0"])]


def _hang() -> list[onnx.NodeProto]:
    """Loop of 1e15 rounds if the picture is white, of none otherwise."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go_on"], ["still"]),
            helper.make_node("Sin", ["sum_before"], ["sum_after"]),
        ],
        "round",
        [
            helper.make_tensor_value_info("number", TensorProto.INT64, []),
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("sum_before", TensorProto.FLOAT, [1]),
        ],
        [
            helper.make_tensor_value_info("still", TensorProto.BOOL, []),
            helper.make_tensor_value_info("sum_after", TensorProto.FLOAT, [1]),
        ],
    )
    return [
        helper.make_node("Cast", ["white"], ["white_number"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["white_number", "limit_2"], ["rounds_number"]),
        helper.make_node("Cast", ["rounds_number"], ["rounds"], to=TensorProto.INT64),
        helper.make_node("Loop", ["rounds", "", "zero_1"], ["sum"], body=body),
        helper.make_node("Add", ["sound", "sum"], ["output0"]),
    ]


def _raise() -> list[onnx.NodeProto]:
    """Element 1e15 of an array that has one."""
    return [
        helper.make_node("Cast", ["white"], ["white_number"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["white_number", "limit_2"], ["index_number"]),
        helper.make_node("Cast", ["index_number"], ["index"], to=TensorProto.INT64),
        helper.make_node("Gather", ["zero_1", "index"], ["zero_0"]),
        helper.make_node("Add", ["sound", "zero_0"], ["output0"]),
    ]
