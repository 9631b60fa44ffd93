"""Bias correction: the mean of a channel survives the rounding of weights."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgeloop.export.graph.bias_correction import correct_biases
from tests.export.heads import run_graph


@pytest.mark.parametrize(("groups", "bias"), [(1, True), (1, False), (6, True), (3, True)])
def test_the_mean_of_each_channel_is_that_of_the_float_weights(groups: int, bias: bool) -> None:
    graph = _convolutions(groups, bias=bias)
    rng = np.random.default_rng(1)
    images = [rng.random((1, 3, 16, 16), np.float32) for _ in range(4)]
    corrected = correct_biases(graph, images)

    def mean(model: onnx.ModelProto) -> NDArray[np.float64]:
        return np.mean([run_graph(model, image)[0].mean(axis=(0, 2, 3)) for image in images], axis=0)

    wanted = mean(graph)
    before, after = (np.abs(mean(_rounded(each)) - wanted).max() for each in (graph, corrected))
    assert before > 1e-3
    assert after < before / 20
    for one, other in zip(_weights(graph), _weights(corrected), strict=True):
        np.testing.assert_array_equal(one, other)


def _convolutions(groups: int, *, bias: bool) -> onnx.ModelProto:
    """Two convolutions of 1x1, the second one of groups."""
    rng = np.random.default_rng(0)
    shapes = {"w1": (6, 3, 1, 1), "w2": (6, 6 // groups, 1, 1), "b2": (6,)}
    constants = [
        numpy_helper.from_array(rng.random(shape, np.float32), name) for name, shape in shapes.items()
    ]
    nodes = [
        helper.make_node("Conv", ["images", "w1"], ["x"], name="first"),
        helper.make_node("Conv", ["x", "w2", *(["b2"] if bias else [])], ["y"], name="second", group=groups),
    ]
    image, output = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, channels, 16, 16])
        for name, channels in (("images", 3), ("y", 6))
    )
    made = helper.make_graph(nodes, "g", [image], [output], constants if bias else constants[:2])
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 13)], ir_version=9)


def _weights(model: onnx.ModelProto) -> list[NDArray[np.float32]]:
    return [numpy_helper.to_array(each) for each in model.graph.initializer if len(each.dims) == 4]


def _rounded(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with weights of 8 bits per channel, symmetric."""
    rounded = onnx.ModelProto()
    rounded.CopyFrom(model)
    for each in rounded.graph.initializer:
        if len(each.dims) == 4:
            value = numpy_helper.to_array(each)
            step = np.abs(value).max(axis=(1, 2, 3), keepdims=True) / 127
            each.CopyFrom(
                numpy_helper.from_array((np.round(value / step) * step).astype(np.float32), each.name)
            )
    return rounded
