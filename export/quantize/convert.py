"""A float32 graph in half precision, or in 8 bits with chosen stages left in float."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterable
from typing import Any

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationMethod, QDQQuantizer, QuantType
from onnxruntime.quantization.calibrate import TensorsData
from onnxruntime.quantization.onnx_model import ONNXModel
from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry
from onnxruntime.transformers.float16 import convert_float_to_float16

from edgeloop.export.graph.stages import decoding_nodes
from edgeloop.export.quantize.activation_ranges import Ranges

__all__ = ["to_fp16", "to_int8"]


def to_fp16(model: onnx.ModelProto) -> onnx.ModelProto:
    """Halve a graph's precision, but for its input, its output and the decoding of boxes.

    A coordinate of 300 px in half precision stands on steps of a quarter of a pixel, so boxes are decoded in
    float32.

    Args:
        model: A float32 graph; left as it is.

    Returns:
        The graph; input and output stay float32.
    """
    # The converter would cast every node that is to stay in float32 there and back, rounding after each. So
    # it sees the graph without its end, which is put back afterwards.
    decoding = set(decoding_nodes(model.graph))
    end = [node for node in model.graph.node if node.name in decoding and node.op_type != "Conv"]
    body = copy.deepcopy(onnx.shape_inference.infer_shapes(model))
    kept = [node for node in body.graph.node if node.name not in {node.name for node in end}]
    crossing = {name for node in end for name in node.input} & {name for node in kept for name in node.output}
    _replace(body.graph.node, kept)
    shapes = {info.name: info for info in body.graph.value_info}
    _replace(body.graph.output, [shapes[name] for name in sorted(crossing)])
    # What is said of tensors that are not here any more would be turned into half precision all the same.
    here = {name for node in kept for name in node.output} - crossing
    _replace(body.graph.value_info, [info for name, info in shapes.items() if name in here])
    read = {name for node in kept for name in node.input}
    _replace(body.graph.initializer, [each for each in model.graph.initializer if each.name in read])
    halved = convert_float_to_float16(body, keep_io_types=True)
    return _with_end(halved, end, model)


def _with_end(body: onnx.ModelProto, end: list[onnx.NodeProto], model: onnx.ModelProto) -> onnx.ModelProto:
    """Put nodes of a float32 graph behind one that computes their inputs."""
    own = {name: f"end/{name}" for name in (each.name for each in model.graph.initializer)}
    for node in copy.deepcopy(end):
        for place, name in enumerate(node.input):
            node.input[place] = own.get(name, name)
        body.graph.node.append(node)
    read = {name for node in body.graph.node for name in node.input}
    for constant in model.graph.initializer:
        if own[constant.name] in read:
            body.graph.initializer.append(constant)
            body.graph.initializer[-1].name = own[constant.name]
    _replace(body.graph.output, model.graph.output)
    ordered = ONNXModel(body)
    ordered.topological_sort()
    return ordered.model


def _replace(field: Any, items: Iterable[Any]) -> None:
    """Set a repeated field of a protobuf message."""
    items = list(items)
    del field[:]
    field.extend(items)


def to_int8(model: onnx.ModelProto, ranges: Ranges, in_float: Iterable[str]) -> onnx.ModelProto:
    """Quantise a graph to QDQ form: unsigned activations, signed weights by channel.

    Every kind of node that onnxruntime can quantise is quantised, not convolutions alone: where tensors
    change between 8 bits and float around every convolution, the result was slower than float32. Unsigned
    activations with signed weights are what onnxruntime's kernels for x86 are made for; the others take them
    as well.

    Args:
        model: A float32 graph; left as it is.
        ranges: Of its activations.
        in_float: Names of nodes that are not quantised.

    Returns:
        The graph; input and output stay float32.
    """
    ends = {name: (np.float32(low), np.float32(high)) for name, (low, high) in ranges.items()}
    quantizer = QDQQuantizer(
        onnx.shape_inference.infer_shapes(model),
        per_channel=True,
        reduce_range=False,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QUInt8,
        tensors_range=TensorsData(CalibrationMethod.MinMax, ends),
        nodes_to_quantize=[],
        nodes_to_exclude=list(in_float),
        op_types_to_quantize=sorted(QDQRegistry.keys() | QLinearOpsRegistry.keys()),
        extra_options={},
    )
    quieted = logging.getLogger()
    level = quieted.level
    quieted.setLevel(logging.ERROR)  # it notes with the root logger what it does not quantise
    try:
        quantizer.quantize_model()
    finally:
        quieted.setLevel(level)
    quantizer.model.topological_sort()
    return quantizer.model.model
