"""Files of LiteRT, written by hand: a detector of bright places with a raw head of one stride."""

from __future__ import annotations

from pathlib import Path

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from edgeloop.edge.engines.facts_file import EngineFacts, TensorFacts, write_facts
from edgeloop.edge.runtime.detector import Detector
from edgeloop.edge.runtime.verification import make_golden
from edgeloop.models.bundle.document import Record
from edgeloop.models.facts.facts_path import facts_path
from edgeloop.models.spec import ModelSpec
from edgeloop.models.weights.digest import file_sha256
from tests.block_detector import GRID, SIDE, STRIDE


def write_litert(path: Path, *, gain: float = 20.0) -> Path:
    """Write a detector that finds cells of 8x8 px with a mean above half, each as a box of 16x16 px.

    Args:
        path: File to write, with its facts beside it, which hold a golden sample.
        gain: Factor of the score's logit.
    """
    spec = ModelSpec(
        head="raw", input_size=(SIDE, SIDE), layout="NHWC", dtype="float32", color="RGB", scale=255.0,
        centered=True, pad_value=114, names=("block",), stride=STRIDE, confidence=0.25, iou=0.7,
        max_detections=300,
    )  # fmt: skip
    path.write_bytes(_model(gain))
    write_facts(path, _facts_of(path, spec.to_metadata()))
    record = Record(precision="fp32", golden=make_golden(Detector(path)))
    write_facts(path, _facts_of(path, spec.to_metadata(record)))
    return path


def copy_litert(path: Path, to: Path) -> Path:
    """Copy a file with its facts."""
    to.write_bytes(path.read_bytes())
    facts_path(to).write_bytes(facts_path(path).read_bytes())
    return to


def _facts_of(path: Path, metadata: dict[str, str]) -> EngineFacts:
    return EngineFacts(
        engine="litert",
        sha256=file_sha256(path),
        metadata=metadata,
        inputs=(TensorFacts(name="images", shape=(1, SIDE, SIDE, 3), dtype="float32"),),
        outputs=(
            TensorFacts(name="boxes_8", shape=(1, 4, GRID, GRID), dtype="float32"),
            TensorFacts(name="scores_8", shape=(1, 1, GRID, GRID), dtype="float32"),
        ),
    )


def _model(gain: float) -> bytes:
    """Mean of each cell, and two convolutions of 1x1 on it; the signature names its outputs."""
    arrays = {
        "boxes_weights": np.zeros((4, 1, 1, 3)),
        "boxes_bias": np.ones(4),
        "scores_weights": np.full((1, 1, 1, 3), gain / 3),
        "scores_bias": np.full(1, -gain / 2),
    }
    shapes: dict[str, tuple[int, ...]] = {}
    shapes |= {"input": (1, SIDE, SIDE, 3), "cells": (1, GRID, GRID, 3), "boxes": (1, GRID, GRID, 4)}
    shapes |= {"scores": (1, GRID, GRID, 1)} | {name: array.shape for name, array in arrays.items()}
    names = list(shapes)
    graph = schema.SubGraphT()
    graph.inputs, graph.outputs = [names.index("input")], [names.index("scores"), names.index("boxes")]
    graph.tensors, graph.operators = [], [_pooling(names)]
    model = schema.ModelT()
    model.version, model.buffers = 3, [schema.BufferT()]
    for name, shape in shapes.items():
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type = name, list(shape), schema.TensorType.FLOAT32
        if name in arrays:
            tensor.buffer = len(model.buffers)
            model.buffers.append(_buffer(arrays[name]))
        graph.tensors.append(tensor)
    graph.operators += [_convolution(names, branch) for branch in ("boxes", "scores")]
    codes = (schema.BuiltinOperator.AVERAGE_POOL_2D, schema.BuiltinOperator.CONV_2D)
    model.operatorCodes = [_code(number) for number in codes]
    model.subgraphs, model.signatureDefs = [graph], [_signature(names)]
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _pooling(names: list[str]) -> schema.OperatorT:
    options = schema.Pool2DOptionsT()
    options.padding = schema.Padding.VALID
    options.strideW = options.strideH = options.filterWidth = options.filterHeight = STRIDE
    operator = schema.OperatorT()
    operator.opcodeIndex, operator.builtinOptions = 0, options
    operator.builtinOptionsType = schema.BuiltinOptions.Pool2DOptions
    operator.inputs, operator.outputs = [names.index("input")], [names.index("cells")]
    return operator


def _convolution(names: list[str], branch: str) -> schema.OperatorT:
    options = schema.Conv2DOptionsT()
    options.strideW = options.strideH = 1
    operator = schema.OperatorT()
    operator.opcodeIndex, operator.builtinOptions = 1, options
    operator.builtinOptionsType = schema.BuiltinOptions.Conv2DOptions
    operator.inputs = [names.index(name) for name in ("cells", f"{branch}_weights", f"{branch}_bias")]
    operator.outputs = [names.index(branch)]
    return operator


def _code(number: int) -> schema.OperatorCodeT:
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = number
    code.version = 1
    return code


def _buffer(array: NDArray[np.float64]) -> schema.BufferT:
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(array.astype("<f4").tobytes(), np.uint8)
    return buffer


def _signature(names: list[str]) -> schema.SignatureDefT:
    def maps(**ends: str) -> list[schema.TensorMapT]:
        found = []
        for name, tensor in ends.items():
            entry = schema.TensorMapT()
            entry.name, entry.tensorIndex = name, names.index(tensor)
            found.append(entry)
        return found

    signature = schema.SignatureDefT()
    signature.signatureKey = "serving_default"
    signature.inputs, signature.outputs = maps(images="input"), maps(boxes_8="boxes", scores_8="scores")
    return signature
