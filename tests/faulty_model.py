"""Detector of the block that also fails as real ones do, if a picture asks for it."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.blocks import block_finder

MANY = 1 << 40
"""Turns of a loop that never ends in practice."""


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
        helper.make_node("Loop", ["count", "true", "work"], ["worked"], body=_body()),
        helper.make_node("ReduceMax", ["worked"], ["confidence_2"], keepdims=0),
        helper.make_node("Mul", ["confidence_1", "confidence_2"], ["confidence_3"]),
    ]
    rest = list(graph.node)
    del graph.node[:]
    graph.node.extend([*rest[:after], *nodes, *rest[after:]])
    onnx.checker.check_model(model)
    return model


def _body() -> onnx.GraphProto:
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
