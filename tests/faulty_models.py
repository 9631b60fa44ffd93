"""Detectors of the block that fail as real ones do: on white pictures, at patches of color, or always."""

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

MANY = 1 << 40
"""Turns of a loop that never ends in practice."""


def write_faulty_model(path: Path, fault: str, names: str = "{0: 'block'}", *, always: bool = False) -> Path:
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


def faulty_block_finder(side: int = 128, turns: int = 0) -> onnx.ModelProto:
    """Make a `block_finder` whose score is NaN at a red patch, and which hangs at a blue one.

    Args:
        side: Width and height of its input in pixels.
        turns: Work for each frame, to take longer.
    """
    model = block_finder(side)
    graph = model.graph
    after = next(i for i, node in enumerate(graph.node) if "confidence" in node.output)
    graph.node[after].input[0] = "confidence_3"
    constants = {
        "strong": np.float32(0.5),
        "weak": np.float32(0.3),
        "red_at": np.int64(0),
        "blue_at": np.int64(2),
        "nan": np.float32(np.nan),
        "many": np.int64(MANY),
        "true": np.bool_(True),
        "work": np.ones(1 << 14, np.float32),
        "turns": np.int64(turns),
    }
    graph.initializer.extend(numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items())
    nodes = [
        helper.make_node("Gather", ["images", "red_at"], ["red"], axis=1),
        helper.make_node("Gather", ["images", "blue_at"], ["blue"], axis=1),
    ]
    for name, high, low in (("red", "red", "blue"), ("blue", "blue", "red")):
        nodes += [
            helper.make_node("Greater", [high, "strong"], [f"{name}_high"]),
            helper.make_node("Less", [low, "weak"], [f"{name}_low"]),
            helper.make_node("And", [f"{name}_high", f"{name}_low"], [f"{name}_pixels"]),
            helper.make_node("Cast", [f"{name}_pixels"], [f"{name}_numbers"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMax", [f"{name}_numbers"], [f"{name}_patch"], keepdims=0),
            helper.make_node("Cast", [f"{name}_patch"], [f"{name}_seen"], to=TensorProto.BOOL),
        ]
    nodes += [
        helper.make_node("Where", ["red_seen", "nan", "confidence_0"], ["confidence_1"]),
        helper.make_node("Where", ["blue_seen", "many", "turns"], ["count"]),
        helper.make_node("Loop", ["count", "true", "work"], ["worked"], body=_work_body()),
        helper.make_node("ReduceMax", ["worked"], ["confidence_2"], keepdims=0),
        helper.make_node("Mul", ["confidence_1", "confidence_2"], ["confidence_3"]),
    ]
    rest = list(graph.node)
    del graph.node[:]
    graph.node.extend([*rest[:after], *nodes, *rest[after:]])
    onnx.checker.check_model(model)
    return model


def _work_body() -> onnx.GraphProto:
    work = [1 << 14]
    return helper.make_graph(
        [
            helper.make_node("Sqrt", ["work_in"], ["work_out"]),
            helper.make_node("Identity", ["go_in"], ["go_out"]),
        ],
        "turn",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("go_in", TensorProto.BOOL, []),
            helper.make_tensor_value_info("work_in", TensorProto.FLOAT, work),
        ],
        [
            helper.make_tensor_value_info("go_out", TensorProto.BOOL, []),
            helper.make_tensor_value_info("work_out", TensorProto.FLOAT, work),
        ],
    )
