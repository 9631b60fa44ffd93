"""Conversion to Qualcomm's NPUs: onnxruntime's quantizer with its settings for QNN, the result run in QNN.

The settings are those of https://onnxruntime.ai/docs/execution-providers/QNN-ExecutionProvider.html: every
tensor quantized, weights as int8 per channel, activations as uint8 or uint16. Before it biases are corrected
for the rounding of weights. In 8 bits the host decodes: boxes and scores would share a scale, and all scores
be lost. The result is an ONNX file.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize
from onnxruntime.quantization.execution_providers.qnn import get_qnn_qdq_config, qnn_preprocess_model

from edgeloop.edge.engines.accelerators.qnn_plugin import has_plugin
from edgeloop.edge.engines.facts_file import TensorFacts
from edgeloop.export.check.parity import BundlePrecision
from edgeloop.export.convert.converter import Attempt, Converted, Source
from edgeloop.export.graph.bias_correction import correct_biases
from edgeloop.export.graph.graph_io import INPUT, output_shapes, save_graph
from edgeloop.export.graph.stages import stage_nodes
from edgeloop.models.errors import UnavailableError
from edgeloop.models.heads import Head

__all__ = ["QnnConverter"]

_BITS, _LEADING = "bits", "leading"
_TYPES = {"8": QuantType.QUInt8, "16": QuantType.QUInt16}
# Means need fewer frames than ranges.
_MEANS_OF = 16


class QnnConverter:
    """Converter to ONNX files for Qualcomm's NPUs."""

    def check_tools(self) -> None:
        """See `Converter.check_tools`."""
        if not has_plugin():
            raise UnavailableError(
                "--target qnn: needs onnxruntime-qnn, and onnxruntime 1.31 or later; "
                "pip install 'edgeloop[export,qnn]'"
            )

    def attempts(self, precision: BundlePrecision, _head: Head, /) -> tuple[Attempt, ...]:
        """List the ways to reach int8, the fastest on the NPU first; the bits are those of activations."""
        return tuple(
            Attempt(name, precision, raw_head=raw_head, settings={_BITS: bits, _LEADING: leading})
            for name, raw_head, bits, leading in (
                ("8 bits, head on the host", True, "8", "0"),
                ("8 bits, first 3 stages in 16, head on the host", True, "8", "3"),
                ("16 bits, head on the host", True, "16", "0"),
                ("16 bits, head in the file", False, "16", "0"),
            )
        )

    def convert(self, source: Source, attempt: Attempt) -> Converted:
        """Convert a detector."""
        path = source.folder / "model.onnx"
        with _quiet():
            quantized = _quantized(source, int(attempt.settings[_LEADING]), attempt.settings[_BITS])
        save_graph(quantized, source.spec.to_metadata(), path)
        width, height = source.spec.input_size
        outputs = zip(source.graph.graph.output, output_shapes(source.graph), strict=True)
        return Converted(
            path=path,
            spec=source.spec,
            inputs=(TensorFacts(name=INPUT, shape=(1, 3, height, width), dtype="float32"),),
            outputs=tuple(TensorFacts(name=out.name, shape=shape, dtype="float32") for out, shape in outputs),
            versions={name: version(name) for name in ("onnxruntime", "onnxruntime-qnn")},
        )


def _quantized(source: Source, leading: int, bits: str) -> onnx.ModelProto:
    """Quantize a graph, activations to so many bits, those of the first `leading` stages to 16."""
    prepared, quantized = source.folder / "prepared.onnx", source.folder / "quantized.onnx"
    means_of = source.frames[:: max(1, len(source.frames) // _MEANS_OF)]
    onnx.save(correct_biases(source.graph, [_tensor(frame) for frame in means_of]), prepared)
    qnn_preprocess_model(prepared, prepared)
    graph = onnx.load(prepared).graph
    stages = [set(names) for names in stage_nodes(graph).values()][:leading]
    nodes = [node for node in graph.node if any(node.name in each for each in stages)]
    wide = [name for node in nodes for name in node.output]
    wide += [node.input[2] for node in nodes if node.op_type == "Pad" and len(node.input) > 2]  # its filling
    overrides: dict[str, list[dict[str, Any]]] = {
        name: [{"quant_type": _TYPES["16"]}] for name in ([INPUT, *wide] if wide else [])
    }
    # In 8 bits the steps of the input are those of a byte.
    overrides.setdefault(INPUT, [{}])[0] |= {"rmin": np.float32(0), "rmax": np.float32(1)}
    settings = get_qnn_qdq_config(
        prepared,
        _Frames(source.frames),
        activation_type=_TYPES[bits],
        weight_type=QuantType.QInt8,
        per_channel=True,
        init_overrides=overrides,
    )
    quantize(prepared, quantized, settings)
    return onnx.load(quantized)


def _tensor(frame: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Input of the graph for a frame, (H, W, 3) uint8 RGB."""
    return np.ascontiguousarray(frame.transpose(2, 0, 1)[None], np.float32) / np.float32(255)


class _Frames(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime is untyped
    """Frames, (N, H, W, 3) uint8 RGB, as the graph takes them."""

    def __init__(self, frames: NDArray[np.uint8]) -> None:
        self._frames = iter(frames)

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        frame = next(self._frames, None)
        return None if frame is None else {INPUT: _tensor(frame)}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the quantizer's warnings and advice off the root logger."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)
