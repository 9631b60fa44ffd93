"""Input format and file of a graph."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from edgeloop.export.graph.graph_editor import GraphEditor
from edgeloop.models.bundle.seal import seal
from edgeloop.models.spec import ModelSpec

__all__ = ["INPUT", "output_shapes", "save_graph", "with_image_input"]

#: Name of the graph's only input.
INPUT = "images"


def with_image_input(model: onnx.ModelProto, spec: ModelSpec) -> tuple[onnx.ModelProto, ModelSpec]:
    """Move the conversion of layout, color and scale into a graph.

    If the graph begins by quantizing its input to pixel / 255, the bytes go in unchanged instead.

    Args:
        model: A graph that takes float32 NCHW RGB in [0, 1]; not changed.
        spec: Its spec.

    Returns:
        An equivalent graph that takes uint8 NHWC BGR, and its spec.
    """
    graph = GraphEditor(model)
    readers = graph.readers(INPUT)
    if all(_quantizes_bytes(graph, node) for node in readers):
        graph.remove(readers)
        for node in readers:
            graph.redirect(node.output[0], "image/bytes")
    else:
        graph.redirect(INPUT, "image/tensor")
        scale = graph.add_constant("image/scale", np.array(spec.scale, np.float32))
        floats = graph.add("image/float", "Cast", ["image/bytes"], to=TensorProto.FLOAT)
        graph.add("image/tensor", "Div", [floats, scale])
    reverse = graph.add_constant("image/reverse", np.array([2, 1, 0]))
    channels_first = graph.add("image/channels_first", "Transpose", [INPUT], perm=[0, 3, 1, 2])
    graph.add("image/bytes", "Gather", [channels_first, reverse], axis=1)
    changed = graph.result()
    (image,) = changed.graph.input
    batch = image.type.tensor_type.shape.dim[0]
    width, height = spec.input_size
    shape = [batch.dim_param or batch.dim_value, height, width, 3]
    image.CopyFrom(helper.make_tensor_value_info(INPUT, TensorProto.UINT8, shape))
    bytes_in = {"layout": "NHWC", "dtype": "uint8", "color": "BGR", "scale": 1.0}
    return changed, spec.model_copy(update=bytes_in)


def _quantizes_bytes(graph: GraphEditor, node: onnx.NodeProto) -> bool:
    if node.op_type != "QuantizeLinear":
        return False
    scale, zero = (graph.constant(name) for name in node.input[1:])
    if scale is None or zero is None:
        return False
    return zero.dtype == np.uint8 and not zero.any() and bool(np.allclose(scale * 255, 1, 1e-6))


def output_shapes(model: onnx.ModelProto) -> list[tuple[int, ...]]:
    """Shapes of a graph's outputs, for a batch of one."""
    return [
        tuple(axis.dim_value or 1 for axis in output.type.tensor_type.shape.dim)
        for output in model.graph.output
    ]


def save_graph(model: onnx.ModelProto, metadata: Mapping[str, str], path: Path) -> None:
    """Write a graph as one sealed file; its own metadata is replaced."""
    del model.metadata_props[:]
    for key, value in metadata.items():
        model.metadata_props.add(key=key, value=value)
    path.write_bytes(seal(model.SerializeToString()))
