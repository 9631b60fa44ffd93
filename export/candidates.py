"""Candidate bundles of one detector, one per precision, each measured as it would ship."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from edgeloop.edge.runtime.detector import Detector
from edgeloop.export.check.gate import refusals
from edgeloop.export.check.measure import Measurement, Reference, measure, with_latencies
from edgeloop.export.check.parity import LOWEST_CONFIDENCE, SURE, BundlePrecision
from edgeloop.export.convert.converter import Converted
from edgeloop.export.data.yolo_dataset import Dataset
from edgeloop.export.export_options import ExportOptions, Precision
from edgeloop.export.graph.graph_io import save_graph, with_image_input
from edgeloop.export.graph.ort_layout import channels_last
from edgeloop.export.graph.stages import decoding_nodes, last_stages, stage_errors, stage_nodes
from edgeloop.export.quantize.activation_ranges import Method, calibrate, training_frames
from edgeloop.export.quantize.convert import to_fp16, to_int8
from edgeloop.export.quantize.search import Quantization, search_int8
from edgeloop.export.targets import TARGETS
from edgeloop.models.bundle.document import Golden
from edgeloop.models.spec import ModelSpec

__all__ = [
    "Bundle",
    "Candidate",
    "best_refused",
    "fastest",
    "make_bundles",
    "measure_bundles",
    "try_further_int8",
]

# float32 is always built: the others are made from it and compared with it.
_WANTED: Mapping[Precision, tuple[BundlePrecision, ...]] = {
    "fp32": ("fp32",),
    "fp16": ("fp32", "fp16"),
    "int8": ("fp32", "int8"),
    "auto": ("fp32", "fp16", "int8"),
}
_LAYER_FRAMES = 4
_PLAIN = "plain.onnx"
_METHOD: Method = "percentile"  # of further attempts: the search has tried the extremes


@dataclass(frozen=True, eq=False)
class Bundle:
    """A bundle that was built.

    Attributes:
        precision: Precision of its weights.
        graph: The graph, with the input format that was asked for.
        spec: Spec of the graph.
        path: File of the graph, with the spec as metadata.
        layers: Relative error of each stage's output against the float32 graph; empty for float32 itself.
        quantization: How it was quantized; None if it was not, or without a search.
        attempt: Further way to int8, in words; "" for the first one.
        converted: Facts of a file of another engine; None for onnxruntime.
        golden: Golden sample of such a file that passes.
    """

    precision: BundlePrecision
    graph: onnx.ModelProto
    spec: ModelSpec
    path: Path
    layers: Mapping[str, float]
    quantization: Quantization | None
    attempt: str = ""
    converted: Converted | None = None
    golden: Golden | None = None


@dataclass(frozen=True, eq=False)
class Candidate:
    """A bundle that was measured.

    Attributes:
        measurement: Its results on the held-out frames.
        reasons: Reasons to refuse it; empty if it passes.
        layers: As in `Bundle`.
        quantization: As in `Bundle`.
        attempt: How it was converted, in words; "" for the first way to an ONNX bundle.
    """

    measurement: Measurement
    reasons: tuple[str, ...]
    layers: Mapping[str, float] = field(default_factory=dict)
    quantization: Quantization | None = None
    attempt: str = ""

    @property
    def precision(self) -> BundlePrecision:
        """Precision of the bundle."""
        return self.measurement.precision

    @property
    def name(self) -> str:
        """Precision, and how it was converted."""
        return f"{self.precision}, {self.attempt}" if self.attempt else self.precision

    def __str__(self) -> str:
        one = self.measurement
        return (
            f"{self.name}: {one.parity.repeated} of {one.parity.boxes} boxes repeated, mAP50-95 "
            f"{one.scores.map50_95:.3f}, score drift {one.parity.confidence_drift:.3f}"
        )


def make_bundles(
    graph: onnx.ModelProto,
    spec: ModelSpec,
    reference: Reference,
    data: Dataset,
    options: ExportOptions,
    folder: Path,
) -> list[Bundle]:
    """Build a detector in every precision that is wanted.

    If torch finds nothing on the held-out frames, float32 alone is built. The graph is float32 with input
    format "tensor"; int8 is calibrated on the training part of the data, layers are compared on the
    validation part. Float32 is the first of the result.

    Raises:
        DataError: There are too few images to calibrate on, or one cannot be read.
        ModelError: A graph does not run.
    """
    plain = folder / _PLAIN
    save_graph(graph, spec.to_metadata(), plain)
    detector = Detector(plain, provider="cpu", confidence=LOWEST_CONFIDENCE)
    tensors = _layer_tensors(detector, data)
    anything = any((found.confidence >= SURE).any() for found in reference.found)
    for_cpu = options.target in (None, "cpu")
    bundles = []
    for precision in _WANTED[options.precision if anything else "fp32"]:
        changed, quantization = graph, None
        if precision == "fp16":
            changed = to_fp16(graph)
        elif precision == "int8":
            changed, quantization = search_int8(graph, detector, training_frames(data), for_cpu=for_cpu)
        layers = {} if precision == "fp32" else stage_errors(graph, changed, tensors, spec.head)
        if precision == "int8" and for_cpu:
            changed = channels_last(changed)
        path = folder / f"{precision}.onnx"
        bundles.append(_bundle(precision, changed, spec, options, path, layers, quantization))
    return bundles


def try_further_int8(
    graph: onnx.ModelProto,
    spec: ModelSpec,
    reference: Reference,
    data: Dataset,
    options: ExportOptions,
    folder: Path,
) -> Iterator[tuple[Bundle, Candidate]]:
    """Quantize a detector in the further ways of a target, until one passes the gate.

    Ranges are cut at a percentile, and the leading stages and those of the head stay in float. The arguments
    are those of `make_bundles`, which was called before. The candidates have no times.

    Raises:
        DataError: There are too few images to calibrate on, or one cannot be read.
        ModelError: A graph does not run.
    """
    detector = Detector(folder / _PLAIN, provider="cpu", confidence=LOWEST_CONFIDENCE)
    tensors = _layer_tensors(detector, data)
    ranges = calibrate(detector, training_frames(data).calibration, _METHOD)
    stages, head = stage_nodes(graph.graph), last_stages(graph.graph)
    for count in TARGETS[options.target or "cpu"].further_int8:
        in_float = dict.fromkeys((*list(stages)[:count], *head))
        nodes = [*decoding_nodes(graph.graph), *(node for stage in in_float for node in stages[stage])]
        changed = to_int8(graph, ranges, nodes)
        layers = stage_errors(graph, changed, tensors, spec.head)
        name = f"ranges by {_METHOD}, the first {count} stages and the head in float"
        path = folder / f"int8-{count}.onnx"
        bundle = _bundle("int8", changed, spec, options, path, layers, None, name)
        candidate = _measured(bundle, reference, options)
        yield bundle, candidate
        if not candidate.reasons:
            return


def _layer_tensors(detector: Detector, data: Dataset) -> list[NDArray[np.generic]]:
    """Inputs on which layers are compared."""
    return [detector.preprocess(image.read()).tensor.copy() for image in data.val[:_LAYER_FRAMES]]


def _bundle(
    precision: BundlePrecision,
    graph: onnx.ModelProto,
    spec: ModelSpec,
    options: ExportOptions,
    path: Path,
    layers: Mapping[str, float],
    quantization: Quantization | None,
    attempt: str = "",
) -> Bundle:
    """Write a graph, with the input format that was asked for."""
    shipped, shipped_spec = with_image_input(graph, spec) if options.input == "image" else (graph, spec)
    save_graph(shipped, shipped_spec.to_metadata(), path)
    return Bundle(precision, shipped, shipped_spec, path, layers, quantization, attempt)


def measure_bundles(
    bundles: Sequence[Bundle], reference: Reference, options: ExportOptions
) -> tuple[Candidate, ...]:
    """Check bundles against torch and time them side by side; one candidate per bundle, in order."""
    return time_bundles(
        bundles, [_measured(each, reference, options) for each in bundles], reference, options
    )


def time_bundles(
    bundles: Sequence[Bundle], candidates: Sequence[Candidate], reference: Reference, options: ExportOptions
) -> tuple[Candidate, ...]:
    """Time bundles side by side; return their candidates with the times."""
    opened = [_open(each, options) for each in bundles]
    timed = with_latencies([each.measurement for each in candidates], opened, reference.images[0].read())
    return tuple(replace(each, measurement=one) for each, one in zip(candidates, timed, strict=True))


def _open(bundle: Bundle, options: ExportOptions) -> Detector:
    provider = "cpu" if options.target is None else TARGETS[options.target].provider
    return Detector(bundle.path, provider=provider, confidence=LOWEST_CONFIDENCE)


def _measured(bundle: Bundle, reference: Reference, options: ExportOptions) -> Candidate:
    """Check a bundle against torch, without its time."""
    one = measure(bundle.precision, _open(bundle, options), reference)
    reasons = refusals(one, reference, options)
    return Candidate(one, reasons, bundle.layers, bundle.quantization, bundle.attempt)


def fastest(candidates: Sequence[Candidate]) -> Candidate | None:
    """Choose the fastest candidate that passes; None if none does."""
    passed = [candidate for candidate in candidates if not candidate.reasons]
    return min(passed, key=lambda candidate: candidate.measurement.latency_ms, default=None)


def best_refused(candidates: Sequence[Candidate]) -> Candidate:
    """Choose the candidate that repeats most boxes, then the one of the largest mAP50-95."""
    return max(
        candidates,
        key=lambda each: (each.measurement.parity.repeated, each.measurement.scores.map50_95),
    )
