"""Convert a float32 graph to half precision, or to 8 bits with chosen nodes left in float."""

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
    """Convert a graph to half precision, except its input, its output and the decoding of boxes.

    At 300 px half precision has steps of a quarter of a pixel, so boxes are decoded in float32. The model is
    not changed.
    """
    # The converter would cast around every single node that stays in float32, rounding after each. So it gets
    # the graph without its end, which is appended afterwards.
    decoding = set(decoding_nodes(model.graph))
    end = [node for node in model.graph.node if node.name in decoding and node.op_type != "Conv"]
    body = copy.deepcopy(onnx.shape_inference.infer_shapes(model))
    kept = [node for node in body.graph.node if node.name not in {node.name for node in end}]
    read_later = {name for node in end for name in node.input} | {each.name for each in model.graph.output}
    crossing = read_later & {name for node in kept for name in node.output}
    _replace(body.graph.node, kept)
    shapes = {info.name: info for info in (*body.graph.value_info, *model.graph.output)}
    _replace(body.graph.output, [shapes[name] for name in sorted(crossing)])
    # The converter would also halve the shape entries of tensors that were removed.
    here = {name for node in kept for name in node.output} - crossing
    _replace(body.graph.value_info, [info for name, info in shapes.items() if name in here])
    read = {name for node in kept for name in node.input}
    _replace(body.graph.initializer, [each for each in model.graph.initializer if each.name in read])
    halved = convert_float_to_float16(body, keep_io_types=True)
    return _with_end(halved, end, model)


def _with_end(body: onnx.ModelProto, end: list[onnx.NodeProto], model: onnx.ModelProto) -> onnx.ModelProto:
    """Append nodes of a float32 graph to one that computes their inputs."""
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
    """Quantize a graph to QDQ format: unsigned activations, signed weights per channel.

    Every node type that onnxruntime can quantize is quantized, not convolutions alone: converting between
    8 bits and float around every convolution is slower than float32 throughout. Unsigned activations with
    signed weights are what onnxruntime's x86 kernels are optimized for; the others take them as well.
    Input, output and the nodes named by `in_float` stay float32; the model is not changed.
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
    level, handlers = quieted.level, [*quieted.handlers]
    quieted.setLevel(logging.ERROR)  # it logs every node that it leaves out to the root logger
    try:
        quantizer.quantize_model()
    finally:
        quieted.setLevel(level)
        quieted.handlers[:] = handlers  # its first message adds one, which would repeat whatever is logged
    quantizer.model.topological_sort()
    return quantizer.model.model
