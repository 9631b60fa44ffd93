"""Split convolutions whose output is sliced along the channels into one convolution per slice.

YOLO's blocks (`C2f`, `C3k2`, `C2PSA`) slice a convolution's output in halves. Between float convolutions
onnxruntime keeps channels in a blocked layout, but cannot slice in it: it reorders, slices, and reorders
again. Two convolutions with half of the weights each need no reordering and compute the same numbers.
"""

from __future__ import annotations

import copy
from typing import NamedTuple

import numpy as np
import onnx

from edgeloop.export.graph.graph_editor import GraphEditor, attributes

__all__ = ["split_convolutions"]

_CHANNELS = 1
# Nodes allowed between a convolution and the slicing: activations, which treat each channel separately.
_ACTIVATION = {"Clip", "HardSigmoid", "HardSwish", "LeakyRelu", "Mul", "Relu", "Sigmoid"}


class _Part(NamedTuple):
    """Channels from `start` up to `stop`, and the name of their tensor."""

    start: int
    stop: int
    tensor: str


def split_convolutions(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return an equivalent float32 graph with a convolution of its own for each slice."""
    graph = GraphEditor(model)
    for tensor in dict.fromkeys(node.input[0] for node in graph.nodes if node.op_type in ("Slice", "Split")):
        cuts = graph.readers(tensor)
        parts = sorted(part for cut in cuts for part in _parts(graph, cut))
        source = _convolution_before(graph, tensor)
        if source and parts and [part.start for part in parts] == [0, *(part.stop for part in parts[:-1])]:
            graph.remove([*source, *cuts])
            for part in parts:
                _compute(graph, source, tensor, part)
    return graph.result()


def _parts(graph: GraphEditor, cut: onnx.NodeProto) -> list[_Part]:
    """Channels that a node slices out; a part that fits no other if it does anything else."""
    given = [graph.constant(name) for name in cut.input[1:]]
    numbers = [[] if each is None else each.tolist() for each in given]
    if cut.op_type == "Split" and numbers:
        axis = attributes(cut).get("axis", 0)
        stops = np.cumsum(numbers[0]).astype(int).tolist()
        if axis == _CHANNELS and len(stops) == len(cut.output):
            return [_Part(*each) for each in zip([0, *stops], stops, cut.output, strict=False)]
    known = all(numbers[:2])  # a graph may compute where it slices
    if cut.op_type == "Slice" and known and numbers[2:] in ([[_CHANNELS]], [[_CHANNELS], [1]]):
        (start,), (stop,) = numbers[:2]
        return [_Part(start, stop, cut.output[0])]
    return [_Part(-1, -1, "")]


def _convolution_before(graph: GraphEditor, tensor: str) -> list[onnx.NodeProto]:
    """The convolution that computes a tensor and its activation; empty for anything less simple."""
    found: list[onnx.NodeProto] = []
    wanted = [tensor]
    while wanted:
        name = wanted.pop()
        node, constant = graph.producer(name), graph.constant(name)
        if node in found or (constant is not None and constant.size == 1):
            continue
        if node is None or node.op_type not in _ACTIVATION | {"Conv"}:
            return []
        found.append(node)
        if node.op_type != "Conv":
            wanted += [each for each in node.input if each]
    inside = {output for node in found for output in node.output} - {tensor}
    alone = all(reader in found for name in inside for reader in graph.readers(name))
    convolutions = [node for node in found if node.op_type == "Conv"]
    if not alone or len(convolutions) != 1 or attributes(convolutions[0]).get("group", 1) != 1:
        return []
    constant_weights = all(graph.constant(name) is not None for name in convolutions[0].input[1:])
    return found if constant_weights else []


def _compute(graph: GraphEditor, source: list[onnx.NodeProto], tensor: str, part: _Part) -> None:
    """Add a convolution with its activation for one part of the channels."""
    renamed = {output: f"{output}_{part.start}" for node in source for output in node.output}
    renamed[tensor] = part.tensor
    for node in source:
        copied = copy.deepcopy(node)
        copied.name = f"{node.name}_{part.start}"
        for place, name in enumerate(node.input):
            weights = graph.constant(name)
            if node.op_type == "Conv" and weights is not None:
                some = weights[part.start : part.stop]
                copied.input[place] = graph.add_constant(f"{copied.name}/{place}", some)
            else:
                copied.input[place] = renamed.get(name, name)
        copied.output[:] = [renamed[output] for output in node.output]
        graph.nodes.append(copied)
