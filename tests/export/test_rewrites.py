"""Graphs written in another way compute the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgeloop.export.export_options import ExportOptions
from edgeloop.export.graph.ort_layout import channels_last
from edgeloop.export.graph.split_conv import split_convolutions
from edgeloop.export.graph.stages import decoding_nodes, last_stages, stage_nodes
from edgeloop.export.graph.to_onnx import to_onnx
from edgeloop.export.quantize.convert import to_int8
from tests.export.graphs import check_cuts, kinds, run
from tests.export.untrained import untrained_model

SIDE = 64


@pytest.mark.slow
def test_cut_convolutions_become_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_cuts(untrained_model(tmp_path), 4, tmp_path, monkeypatch)


def test_the_stages_of_the_graph_are_parts_of_the_detector(tmp_path: Path) -> None:
    graph = to_onnx(untrained_model(tmp_path), (SIDE, SIDE), ExportOptions()).graph
    stages = list(stage_nodes(graph))
    assert stages[:7] == [f"backbone/stages.{number}" for number in range(7)]
    assert {"neck/pooling", "neck/bottom_up_32", "head/boxes.0", "head/scores.2"} < set(stages)
    assert len(stages) == 20
    head = {f"head/{branch}.{level}" for branch in ("boxes", "scores") for level in range(3)}
    assert set(last_stages(graph)) == head
    decoding = decoding_nodes(graph)
    convolutions = [node.name for node in graph.node if node.name in decoding and node.op_type == "Conv"]
    assert sorted(convolutions) == [
        f"/head/{branch}.{level}/{branch}.{level}.{last}/Conv"
        for branch, last in (("boxes", 2), ("scores", 4))
        for level in range(3)
    ]


@pytest.mark.parametrize(
    ("why", "group", "starts", "whole_read"),
    [
        ("two halves", 1, (0, 4), False),
        ("in groups", 2, (0, 4), False),
        ("halves that overlap", 1, (0, 3), False),
        ("read as a whole too", 1, (0, 4), True),
        ("at a computed place", 1, (0, 4), False),
    ],
)
def test_other_cuts_stay(
    why: str, group: int, starts: tuple[int, int], *, whole_read: bool, tmp_path: Path
) -> None:
    first, second = starts
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="conv", group=group),
        helper.make_node("Relu", ["c"], ["r"], name="relu"),
        helper.make_node("Slice", ["r", f"at{first}", f"at{first + 4}", "axis"], ["a"], name="cut_a"),
        helper.make_node("Slice", ["r", f"at{second}", f"at{second + 4}", "axis"], ["b"], name="cut_b"),
        helper.make_node("Sub", ["a", "b"], ["d" if whole_read else "y"], name="sub"),
    ]
    if why == "at a computed place":
        nodes.insert(0, helper.make_node("Identity", ["at4"], ["computed"], name="place"))
        nodes[-2].input[1] = "computed"
    if whole_read:
        nodes += [
            helper.make_node("ReduceMax", ["r"], ["m"], name="max"),
            helper.make_node("Add", ["d", "m"], ["y"], name="add"),
        ]
    constants = {f"at{place}": np.array([place]) for place in (0, 3, 4, 7, 8)} | {"axis": np.array([1])}
    constants["w"] = np.random.default_rng(1).standard_normal((8, 8 // group, 1, 1)).astype(np.float32)
    graph = model(nodes, constants, (1, 8, 5, 5))
    changed = split_convolutions(graph)
    assert kinds(changed)["Slice"] == (0 if why == "two halves" else 2)
    image = np.random.default_rng(2).standard_normal((1, 8, 5, 5)).astype(np.float32)
    np.testing.assert_array_equal(run(changed, image, tmp_path), run(graph, image, tmp_path))


@pytest.mark.parametrize("batch", [1, "batch"])
def test_bytes_stay_channels_last(batch: int | str, tmp_path: Path) -> None:
    plain = quantized_neck("nearest", batch)
    changed = channels_last(plain)
    onnx.checker.check_model(changed, full_check=True)
    assert kinds(plain)["Resize"] == 1
    assert kinds(changed)["Resize"] == 0
    assert (kinds(plain)["Conv"], kinds(changed)["Conv"], kinds(changed)["MatMul"]) == (3, 2, 1)
    assert kinds(changed)["Pad"] == 1
    weights = {each.name: each.dims for each in changed.graph.initializer}
    assert list(weights["c0/weights/four"]) == [16, 4, 3, 3]
    image = np.random.default_rng(3).random((1, 3, 12, 20), np.float32)
    output = run(plain, image, tmp_path)
    assert output.std() > 0.01
    np.testing.assert_allclose(run(changed, image, tmp_path), output, atol=1e-5)


def test_an_enlargement_that_blends_pixels_stays() -> None:
    assert kinds(channels_last(quantized_neck("linear", 1)))["Resize"] == 1


def quantized_neck(mode: str, batch: int | str) -> onnx.ModelProto:
    """Convolution, enlargement, convolution in 8 bits; the last convolution, over single pixels, in float."""
    rng = np.random.default_rng(4)
    constants = {
        f"w{number}": (rng.standard_normal(shape) / np.prod(shape[1:]) ** 0.5).astype(np.float32)
        for number, shape in enumerate([(16, 3, 3, 3), (16, 16, 3, 3), (5, 16, 1, 1)])
    }
    constants |= {
        f"b{number}": rng.standard_normal(size).astype(np.float32) for number, size in enumerate((16, 16, 5))
    }
    constants |= {"scales": np.array([1, 1, 2, 3], np.float32)}
    how = {"mode": mode, "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    nodes = [
        helper.make_node("Conv", ["images", "w0", "b0"], ["c0"], name="c0", pads=[1] * 4),
        helper.make_node("Relu", ["c0"], ["r0"], name="r0"),
        helper.make_node("Resize", ["r0", "", "scales"], ["e"], name="e", **how),
        helper.make_node("Conv", ["e", "w1", "b1"], ["c1"], name="c1", pads=[1] * 4),
        helper.make_node("Relu", ["c1"], ["r1"], name="r1"),
        helper.make_node("Conv", ["r1", "w2", "b2"], ["y"], name="c2", kernel_shape=[1, 1]),
    ]
    ranges = {"images": (0.0, 1.0)} | dict.fromkeys(("c0", "r0", "e", "c1", "r1"), (0.0, 4.0))
    return to_int8(model(nodes, constants, (batch, 3, 12, 20), "images"), ranges, ["c2"])


def model(
    nodes: list[onnx.NodeProto],
    constants: dict[str, NDArray[np.generic]],
    shape: tuple[int | str, ...],
    name: str = "x",
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes, "graph",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
