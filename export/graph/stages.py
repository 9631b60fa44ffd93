"""Stages of a detector's graph: nodes to quantize, and the error of a changed graph stage by stage."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
from numpy.typing import NDArray

from edgeloop.edge.engines.session import Session
from edgeloop.models.heads import Head

__all__ = ["decoding_nodes", "last_stages", "run_with_outputs", "stage_errors", "stage_nodes"]

Array = NDArray[np.generic]

# Nodes with weights or products of activations, which quantization makes faster.
_HEAVY = {"Conv", "ConvTranspose", "Gemm", "MatMul"}
_FOLDED = {"Clip", "Relu"}  # the quantizer folds them into the range of the node before
_DECODING, _PROTOTYPES = "decoding", "prototypes"
_DEQUANTIZED = "_DequantizeLinear_Output"


def decoding_nodes(graph: onnx.GraphProto) -> list[str]:
    """List the nodes of box decoding: the last convolution of each branch and everything after it.

    In 256 steps of the largest box every box moves by pixels, and a score that shares its range with pixel
    coordinates is lost altogether. The names are in the order of the graph.
    """
    readers = _readers(graph)
    leads_to_heavy: dict[str, bool] = {}
    for node in reversed(graph.node):  # in reverse order every reader is known already
        leads_to_heavy[node.name] = any(
            reader.op_type in _HEAVY or leads_to_heavy[reader.name]
            for output in node.output
            for reader in readers[output]
        )
    return [node.name for node in graph.node if not leads_to_heavy[node.name]]


def stage_nodes(graph: onnx.GraphProto) -> dict[str, list[str]]:
    """Group the nodes before the decoding by stage.

    Nodes are named by torch's exporter. A stage of edgeloop-lite0 is a part of its backbone, neck or head,
    such as that of /neck/down_16/conv/Conv. A stage of ultralytics' detectors is a layer, such as that of
    /model.4/cv1/conv/Conv; the first and the last layer are split one level deeper. Stages without weights
    are left out. Stages and names are in the order of the graph.
    """
    decoding = set(decoding_nodes(graph))
    stages: dict[str, list[str]] = defaultdict(list)
    weighted = set()
    last = max((_layer(node.name) for node in graph.node), default=0)
    for node in graph.node:
        if node.name not in decoding:
            stage = _stage(node.name, last)
            stages[stage].append(node.name)
            if node.op_type in _HEAVY:
                weighted.add(stage)
    return {stage: names for stage, names in stages.items() if stage in weighted}


def last_stages(graph: onnx.GraphProto) -> list[str]:
    """List the stages that only the decoding reads: those of the head."""
    stages, readers = stage_nodes(graph), _readers(graph)
    decoding = set(decoding_nodes(graph))
    outputs = {node.name: list(node.output) for node in graph.node}

    def leads_on(names: Sequence[str]) -> bool:
        known = {*names, *decoding}
        return any(
            reader.name not in known for name in names for out in outputs[name] for reader in readers[out]
        )

    return [stage for stage, names in stages.items() if not leads_on(names)]


def stage_errors(
    reference: onnx.ModelProto, changed: onnx.ModelProto, tensors: Sequence[Array], head: Head
) -> dict[str, float]:
    """Compare the stages of a quantized or half-precision graph with those of the float32 graph.

    Both graphs take `tensors`; `head` is the output format.

    Returns:
        Relative error (norm of the difference over norm of the original) of each stage's output, in the order
        of the graph; last, as "decoding", that of the scores, and of a segmentation model, as "prototypes",
        that of its second output.
    """
    ends = _stage_ends(reference.graph)
    names = {name: _name_in(changed.graph, name, reference.graph) for name in ends}
    ends = {name: stage for name, stage in ends.items() if names[name]}
    masks = sum(output.type.tensor_type.shape.dim[1].dim_value for output in reference.graph.output[1:])
    squares: dict[str, NDArray[np.float64]] = defaultdict(lambda: np.zeros(2))
    pairs = zip(
        run_with_outputs(reference, list(ends), tensors),
        run_with_outputs(changed, [names[name] or "" for name in ends], tensors),
        strict=True,
    )
    for expected, actual in pairs:
        for stage, *values in zip(ends.values(), expected, actual, strict=True):
            truth, found = (value.astype(np.float64) for value in values)
            if stage == _DECODING:  # next to boxes in pixels an error of the scores would not show
                truth, found = (_scores(each, head, masks) for each in (truth, found))
            squares[stage] += np.square(truth - found).sum(), np.square(truth).sum()
    return {stage: float(np.sqrt(error / max(truth, 1e-12))) for stage, (error, truth) in squares.items()}


def _scores(output: NDArray[np.float64], head: Head, masks: int) -> NDArray[np.float64]:
    """Take the scores of an output with so many mask coefficients in each row."""
    return output[..., 4] if head == "end2end" else output[:, 4 : output.shape[1] - masks]


def _layer(name: str) -> int:
    head = name.strip("/").split("/")[0].partition("model.")[2]
    return int(head) if head.isdigit() else 0


def _stage(name: str, last: int) -> str:
    parts = name.strip("/").split("/")
    deep = _layer(name) in (0, last) and len(parts) > 2
    return "/".join(parts[:2] if deep else parts[:1])


def _stage_ends(graph: onnx.GraphProto) -> dict[str, str]:
    """Tensors that cross from one stage to another, and the stage that each comes from."""
    stage_of = {name: stage for stage, names in stage_nodes(graph).items() for name in names}
    readers = _readers(graph)
    ends = {
        output: stage_of[node.name]
        for node in graph.node
        if node.name in stage_of
        for output in node.output
        if any(stage_of.get(reader.name) != stage_of[node.name] for reader in readers[output])
    }
    return ends | {
        output.name: stage for output, stage in zip(graph.output, (_DECODING, _PROTOTYPES), strict=False)
    }


def _name_in(changed: onnx.GraphProto, name: str, reference: onnx.GraphProto) -> str | None:
    """Name of a tensor of the float graph in the changed one; None if it is gone."""
    there = {output for node in changed.node for output in node.output}
    producer = {output: node for node in reference.node for output in node.output}
    while name not in there and name + _DEQUANTIZED not in there:
        node = producer.get(name)
        if node is None or node.op_type not in _FOLDED:
            return None
        name = node.input[0]
    return name + _DEQUANTIZED if name + _DEQUANTIZED in there else name


def run_with_outputs(
    model: onnx.ModelProto, names: Sequence[str], tensors: Sequence[Array]
) -> Iterator[list[Array]]:
    """Values of intermediate tensors, one list per input."""
    shown = onnx.ModelProto()
    shown.CopyFrom(model)
    del shown.graph.output[:]
    shown.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "shown.onnx"
        onnx.save(shown, path)
        session = Session(path, provider="cpu")
    for tensor in tensors:
        yield list(session.run(tensor))


def _readers(graph: onnx.GraphProto) -> Mapping[str, list[onnx.NodeProto]]:
    readers = defaultdict(list)
    for node in graph.node:
        for name in node.input:
            readers[name].append(node)
    return readers
