"""Rewrite a quantized graph for the memory layout of onnxruntime's CPU kernels.

onnxruntime computes 8-bit convolutions channels last, and moves the transpositions for that through the graph
until they cancel. Three things stay slow. `Resize` is channels first only, and ten times slower behind such
a transposition. A convolution in float has its input transposed and reordered into blocks. Both are rewritten
channels last here, between transpositions that cancel. And the 8-bit kernels take channels by fours, so a
convolution over an image's three channels falls back to a general matrix product: it gets a fourth channel
with zero weights. Results stay the same.
"""

from __future__ import annotations

import copy

import numpy as np
import onnx

from edgeloop.export.graph.graph_editor import GraphEditor, attributes
from edgeloop.export.graph.stages import decoding_nodes

__all__ = ["channels_last"]

_TO_LAST, _TO_FIRST = [0, 2, 3, 1], [0, 3, 1, 2]
_HEIGHT, _WIDTH = 1, 2  # axes of NHWC

_IMAGE_CHANNELS = 3

# Nearest-neighbor upsampling as torch exports it.
_NEAREST = {"mode": b"nearest", "coordinate_transformation_mode": b"asymmetric", "nearest_mode": b"floor"}


def channels_last(model: onnx.ModelProto) -> onnx.ModelProto:
    """Rewrite 8-bit upsampling, convolutions over an image, and the last convolution of each branch.

    The model is in QDQ format and not changed. Other runtimes may optimize the equivalent graph that is
    returned less well.
    """
    graph = GraphEditor(model)
    last = set(decoding_nodes(model.graph))
    for node in list(graph.nodes):
        if node.op_type == "Resize":
            _upsample_channels_last(graph, node)
        elif node.op_type == "Conv" and node.name in last:
            _to_matmul(graph, node)
        elif node.op_type == "Conv":
            _add_channel(graph, node)
    return graph.result()


def _upsample_channels_last(graph: GraphEditor, node: onnx.NodeProto) -> None:
    """Upsample bytes channels last, by gathering rows and columns."""
    source, quantized = graph.producer(node.input[0]), graph.readers(node.output[0])
    sizes = graph.shape(node.input[0])[2:], graph.shape(node.output[0])[2:]
    if (
        source is None
        or source.op_type != "DequantizeLinear"
        or [reader.op_type for reader in quantized] != ["QuantizeLinear"]
        or not graph.same_constants(source.input[1:], quantized[0].input[1:])
        or _NEAREST.items() - attributes(node).items()
        or not all(side and larger % side == 0 for side, larger in zip(*sizes, strict=True))
    ):
        return
    bytes_last = graph.add(f"{node.name}/last", "Transpose", [source.input[0]], perm=_TO_LAST)
    for axis, side, larger in zip((_HEIGHT, _WIDTH), *sizes, strict=True):
        name = f"{node.name}/repeat_{axis}"
        places = graph.add_constant(f"{name}/places", np.repeat(np.arange(side), larger // side))
        bytes_last = graph.add(name, "Gather", [bytes_last, places], axis=axis)
    graph.remove([node, quantized[0]])
    graph.add(f"{node.name}/first", "Transpose", [bytes_last], output=quantized[0].output[0], perm=_TO_FIRST)


def _add_channel(graph: GraphEditor, node: onnx.NodeProto) -> None:
    """Pad a quantized convolution over three channels to four."""
    source, weights = graph.producer(node.input[0]), graph.producer(node.input[1])
    matrix = None if weights is None else graph.constant(weights.input[0])
    if (
        source is None
        or weights is None
        or {source.op_type, weights.op_type} != {"DequantizeLinear"}
        or matrix is None
        or matrix.shape[1] != _IMAGE_CHANNELS
        or attributes(node).get("group", 1) != 1
    ):
        return
    more = graph.add_constant(f"{node.name}/more", np.array([0, 0, 0, 0, 0, 1, 0, 0]))
    bytes_four = graph.add(f"{node.name}/four", "Pad", [source.input[0], more, source.input[2]])
    four = np.pad(matrix, [(0, 0), (0, 1), (0, 0), (0, 0)])
    weights_four = graph.add_constant(f"{node.name}/weights/four", four)
    for place, name, of in ((0, bytes_four, source), (1, weights_four, weights)):
        copied = copy.deepcopy(of)
        copied.name = copied.output[0] = f"{name}/floats"
        copied.input[0] = name
        graph.nodes.append(copied)
        node.input[place] = copied.name


def _to_matmul(graph: GraphEditor, node: onnx.NodeProto) -> None:
    """Replace a 1x1 convolution by a matrix product, channels last."""
    source, weights = graph.producer(node.input[0]), graph.constant(node.input[1])
    steps = {"strides": [1, 1], "pads": [0, 0, 0, 0], "group": 1}
    if (
        source is None
        or source.op_type != "DequantizeLinear"
        or weights is None
        or weights.shape[2:] != (1, 1)
        or len(node.input) < 3
        or any(attributes(node).get(name, default) != default for name, default in steps.items())
    ):
        return
    bytes_last = graph.add(f"{node.name}/last", "Transpose", [source.input[0]], perm=_TO_LAST)
    pixels = graph.add(f"{node.name}/pixels", "DequantizeLinear", [bytes_last, *source.input[1:]])
    matrix = graph.add_constant(f"{node.name}/matrix", np.ascontiguousarray(weights[:, :, 0, 0].T))
    product = graph.add(f"{node.name}/product", "MatMul", [pixels, matrix])
    biased = graph.add(f"{node.name}/biased", "Add", [product, node.input[2]])
    graph.remove([node])
    graph.add(f"{node.name}/first", "Transpose", [biased], output=node.output[0], perm=_TO_FIRST)
