"""Weights in other files are found wherever a model may keep tensors."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeloop.models.bundle.onnx_content import has_external_weights
from edgeloop.models.errors import ModelError

OUT = helper.make_tensor_value_info("y", TensorProto.FLOAT, [3])


def tensor(*, outside: bool) -> TensorProto:
    made = numpy_helper.from_array(np.arange(3, dtype=np.float32), "weights")
    if outside:
        made.ClearField("raw_data")
        made.data_location = TensorProto.EXTERNAL
        entry = made.external_data.add()
        entry.key, entry.value = "location", "/etc/passwd"
    return made


def constant(weights: TensorProto) -> onnx.NodeProto:
    return helper.make_node("Constant", [], ["y"], value=weights)


def in_initializer(weights: TensorProto) -> onnx.ModelProto:
    return helper.make_model(helper.make_graph([], "g", [], [OUT], [weights]))


def in_constant(weights: TensorProto) -> onnx.ModelProto:
    return helper.make_model(helper.make_graph([constant(weights)], "g", [], [OUT]))


def in_branch(weights: TensorProto) -> onnx.ModelProto:
    branch = helper.make_graph([constant(weights)], "branch", [], [OUT])
    node = helper.make_node("If", ["condition"], ["y"], then_branch=branch, else_branch=branch)
    return helper.make_model(helper.make_graph([node], "g", [], [OUT]))


def in_function(weights: TensorProto) -> onnx.ModelProto:
    opsets = [helper.make_opsetid("", 18)]
    function = helper.make_function("own", "f", [], ["y"], [constant(weights)], opsets)
    node = helper.make_node("f", [], ["y"], domain="own")
    return helper.make_model(helper.make_graph([node], "g", [], [OUT]), functions=[function])


def in_sparse(weights: TensorProto) -> onnx.ModelProto:
    model = in_initializer(tensor(outside=False))
    model.graph.sparse_initializer.add().values.CopyFrom(weights)
    return model


@pytest.mark.parametrize("outside", [False, True])
@pytest.mark.parametrize("place", [in_initializer, in_constant, in_branch, in_function, in_sparse])
def test_tensors_are_found(place: Callable[[TensorProto], onnx.ModelProto], outside: bool) -> None:
    content = place(tensor(outside=outside)).SerializeToString()
    assert has_external_weights(content) is outside


@pytest.mark.parametrize("content", [b"not a model", b"\x3a\xff", b"\x80" * 20, b"\x0b"])
def test_what_is_no_model_is_said(content: bytes) -> None:
    with pytest.raises(ModelError, match="expected an ONNX model"):
        has_external_weights(content)
