"""A quantised graph as onnxruntime's CPU kernels like it: bytes stay where convolutions leave them.

onnxruntime computes convolutions in 8 bits with the channels last, and moves the transpositions that this
takes through the graph until they meet and cancel. Three things cost time there. Its `Resize` knows channels
first alone, and is ten times as slow behind such a transposition, on one thread; and a convolution that
stays in float has its input transposed and sorted into blocks. Here both are written with the channels last,
between transpositions that cancel those. And its kernels for 8 bits take channels by fours, so that a
convolution over the three of a picture falls back on a general product: it gets a fourth one, with weights
of zero. Bytes are only moved, and the last convolutions are the same sums.
"""

from __future__ import annotations

import copy

import numpy as np
import onnx

from edgeloop.export.graph.rewrite import Rewrite, attributes
from edgeloop.export.graph.stages import decoding_nodes

__all__ = ["channels_last"]

_TO_LAST, _TO_FIRST = [0, 2, 3, 1], [0, 3, 1, 2]
_HEIGHT, _WIDTH = 1, 2  # axes where the channels are last

_PICTURE = 3  # channels

# How torch writes an enlargement by repetition.
_REPEATS = {"mode": b"nearest", "coordinate_transformation_mode": b"asymmetric", "nearest_mode": b"floor"}


def channels_last(model: onnx.ModelProto) -> onnx.ModelProto:
    """Rewrite enlargements in 8 bits, convolutions over a picture, and the last convolution of each branch.

    Args:
        model: A graph in QDQ form; left as it is.

    Returns:
        A graph that computes the same. Other runtimes may know it less well than the plain one.
    """
    graph = Rewrite(model)
    last = set(decoding_nodes(model.graph))
    for node in list(graph.nodes):
        if node.op_type == "Resize":
            _repeat_rows_and_columns(graph, node)
        elif node.op_type == "Conv" and node.name in last:
            _multiply(graph, node)
        elif node.op_type == "Conv":
            _add_channel(graph, node)
    return graph.result()


def _repeat_rows_and_columns(graph: Rewrite, node: onnx.NodeProto) -> None:
    """Enlarge bytes by repeating them, a row of channels at a time."""
    source, quantised = graph.producer(node.input[0]), graph.readers(node.output[0])
    sizes = graph.shape(node.input[0])[2:], graph.shape(node.output[0])[2:]
    if (
        source is None
        or source.op_type != "DequantizeLinear"
        or [reader.op_type for reader in quantised] != ["QuantizeLinear"]
        or not graph.same_constants(source.input[1:], quantised[0].input[1:])
        or _REPEATS.items() - attributes(node).items()
        or not all(side and larger % side == 0 for side, larger in zip(*sizes, strict=True))
    ):
        return
    bytes_last = graph.add(f"{node.name}/last", "Transpose", [source.input[0]], perm=_TO_LAST)
    for axis, side, larger in zip((_HEIGHT, _WIDTH), *sizes, strict=True):
        name = f"{node.name}/repeat_{axis}"
        places = graph.add_constant(f"{name}/places", np.repeat(np.arange(side), larger // side))
        bytes_last = graph.add(name, "Gather", [bytes_last, places], axis=axis)
    graph.remove([node, quantised[0]])
    graph.add(f"{node.name}/first", "Transpose", [bytes_last], output=quantised[0].output[0], perm=_TO_FIRST)


def _add_channel(graph: Rewrite, node: onnx.NodeProto) -> None:
    """Let a quantised convolution over three channels compute with four."""
    source, weights = graph.producer(node.input[0]), graph.producer(node.input[1])
    matrix = None if weights is None else graph.constant(weights.input[0])
    if (
        source is None
        or weights is None
        or {source.op_type, weights.op_type} != {"DequantizeLinear"}
        or matrix is None
        or matrix.shape[1] != _PICTURE
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
        graph.add_node(copied)
        node.input[place] = copied.name


def _multiply(graph: Rewrite, node: onnx.NodeProto) -> None:
    """Compute a convolution over single pixels as the product of matrices that it is."""
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
