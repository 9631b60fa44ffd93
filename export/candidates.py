"""Candidate bundles of one detector, one per precision, each measured as it would ship."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import onnx

from edgeloop.edge.runtime.detector import Detector
from edgeloop.export.check.gate import refusals
from edgeloop.export.check.measure import Measurement, Reference, measure, with_latencies
from edgeloop.export.check.parity import LOWEST_CONFIDENCE, SURE, BundlePrecision
from edgeloop.export.convert.converter import Converted
from edgeloop.export.data.yolo_dataset import Dataset
from edgeloop.export.export_options import ExportOptions, Precision
from edgeloop.export.graph.graph_io import save_graph, with_image_input
from edgeloop.export.graph.ort_layout import channels_last
from edgeloop.export.graph.stages import stage_errors
from edgeloop.export.quantize.activation_ranges import training_frames
from edgeloop.export.quantize.convert import to_fp16
from edgeloop.export.quantize.search import Quantization, search_int8
from edgeloop.export.targets import TARGETS
from edgeloop.models.bundle.document import Golden
from edgeloop.models.spec import ModelSpec

__all__ = ["Bundle", "Candidate", "best_refused", "fastest", "make_bundles", "measure_bundles"]

# float32 is always built: the others are made from it and compared with it.
_WANTED: Mapping[Precision, tuple[BundlePrecision, ...]] = {
    "fp32": ("fp32",),
    "fp16": ("fp32", "fp16"),
    "int8": ("fp32", "int8"),
    "auto": ("fp32", "fp16", "int8"),
}
_LAYER_FRAMES = 4


@dataclass(frozen=True, eq=False)
class Bundle:
    """A bundle that was built.

    Attributes:
        precision: Precision of its weights.
        graph: The graph, with the input format that was asked for.
        spec: Spec of the graph.
        path: File of the graph, with the spec as metadata.
        layers: Relative error of each stage's output against the float32 graph; empty for float32 itself.
        quantization: How it was quantized; None if it was not.
        converted: Facts of a file of another engine; None for onnxruntime.
        golden: Golden sample of such a file that passes.
    """

    precision: BundlePrecision
    graph: onnx.ModelProto
    spec: ModelSpec
    path: Path
    layers: Mapping[str, float]
    quantization: Quantization | None
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
        attempt: How it was converted for another engine, in words; "" for onnxruntime.
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
    plain = folder / "plain.onnx"
    save_graph(graph, spec.to_metadata(), plain)
    detector = Detector(plain, provider="cpu", confidence=LOWEST_CONFIDENCE)
    images = [image.read() for image in data.val[:_LAYER_FRAMES]]
    tensors = [detector.preprocess(image).tensor.copy() for image in images]
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
        shipped, shipped_spec = (
            with_image_input(changed, spec) if options.input == "image" else (changed, spec)
        )
        path = folder / f"{precision}.onnx"
        save_graph(shipped, shipped_spec.to_metadata(), path)
        bundles.append(Bundle(precision, shipped, shipped_spec, path, layers, quantization))
    return bundles


def measure_bundles(
    bundles: Sequence[Bundle], reference: Reference, options: ExportOptions
) -> tuple[Candidate, ...]:
    """Measure bundles side by side and check them against torch; one candidate per bundle, in order."""
    provider = "cpu" if options.target is None else TARGETS[options.target].provider
    opened = [Detector(each.path, provider=provider, confidence=LOWEST_CONFIDENCE) for each in bundles]
    measurements = [
        measure(each.precision, detector, reference) for each, detector in zip(bundles, opened, strict=True)
    ]
    timed = with_latencies(measurements, opened, reference.images[0].read())
    return tuple(
        Candidate(one, refusals(one, reference, options), each.layers, each.quantization)
        for one, each in zip(timed, bundles, strict=True)
    )


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
