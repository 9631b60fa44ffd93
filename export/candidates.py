"""One detector in every precision that is wanted, each measured and judged as it would leave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import onnx

from edgeloop.edge.runtime.detector import Detector
from edgeloop.export.check.gate import refusals
from edgeloop.export.check.measure import Measurement, Reference, measure, with_latencies
from edgeloop.export.check.parity import LOWEST_CONFIDENCE, SURE, BundlePrecision
from edgeloop.export.data.yolo_dataset import Dataset
from edgeloop.export.export_options import ExportOptions, Precision
from edgeloop.export.graph.ort_layout import channels_last
from edgeloop.export.graph.stages import stage_errors
from edgeloop.export.graph.to_onnx import save_graph, with_image_input
from edgeloop.export.quantize.activation_ranges import training_frames
from edgeloop.export.quantize.convert import to_fp16
from edgeloop.export.quantize.search import Quantization, search_int8
from edgeloop.models.spec import ModelSpec

__all__ = ["Bundle", "Candidate", "fastest", "judge_bundles", "make_bundles"]

# float32 is built in any case: it is what the others are made from and compared with.
_WANTED: Mapping[Precision, tuple[BundlePrecision, ...]] = {
    "fp32": ("fp32",),
    "fp16": ("fp32", "fp16"),
    "int8": ("fp32", "int8"),
    "auto": ("fp32", "fp16", "int8"),
}
_LAYER_FRAMES = 4


@dataclass(frozen=True, eq=False)
class Bundle:
    """A graph that may leave.

    Attributes:
        precision: Of its weights.
        graph: In the form of input that was asked for.
        spec: How it is run.
        path: The graph as a file, with its spec as metadata.
        layers: Relative error of what each stage hands on, against float32; empty for that itself.
        quantization: How it was quantised; None where it was not.
    """

    precision: BundlePrecision
    graph: onnx.ModelProto
    spec: ModelSpec
    path: Path
    layers: Mapping[str, float]
    quantization: Quantization | None


@dataclass(frozen=True, eq=False)
class Candidate:
    """A bundle that may leave.

    Attributes:
        measurement: How it did on the held-out frames.
        reasons: Why it may not leave; empty where it may.
        layers: Relative error of what each stage hands on, against the float32 graph; empty for that itself.
        quantization: How it was quantised; None where it was not.
    """

    measurement: Measurement
    reasons: tuple[str, ...]
    layers: Mapping[str, float] = field(default_factory=dict)
    quantization: Quantization | None = None

    @property
    def precision(self) -> BundlePrecision:
        """Of the bundle."""
        return self.measurement.precision


def make_bundles(
    graph: onnx.ModelProto,
    spec: ModelSpec,
    reference: Reference,
    data: Dataset,
    options: ExportOptions,
    folder: Path,
) -> list[Bundle]:
    """Write a detector down in every precision that is wanted.

    Args:
        graph: Float32, form of input "tensor".
        spec: How that is run.
        reference: Torch on the held-out frames. Where it finds nothing, float32 alone is made.
        data: Int8 is calibrated on its training part, layers are compared on its validation part.
        options: Which precisions, and which form of input.
        folder: Where the files go.

    Returns:
        The bundles, float32 first.

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
    bundles = []
    for_cpu = options.target in (None, "cpu")
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


def judge_bundles(
    bundles: list[Bundle], reference: Reference, options: ExportOptions
) -> tuple[Candidate, ...]:
    """Measure bundles beside each other and hold them against torch.

    Args:
        bundles: What `make_bundles` made.
        reference: Torch on the held-out frames.
        options: For the tolerances.

    Returns:
        What was found out about each, in the same order.
    """
    opened = [Detector(each.path, provider="cpu", confidence=LOWEST_CONFIDENCE) for each in bundles]
    measured = [
        measure(each.precision, detector, reference) for each, detector in zip(bundles, opened, strict=True)
    ]
    timed = with_latencies(measured, opened, reference.images[0].read())
    return tuple(
        Candidate(one, refusals(one, reference, options), each.layers, each.quantization)
        for one, each in zip(timed, bundles, strict=True)
    )


def fastest(candidates: Sequence[Candidate]) -> Candidate | None:
    """The one to ship.

    Args:
        candidates: Bundles, measured in turns on this machine.

    Returns:
        The fastest of those that may leave; None where none may.
    """
    passed = [candidate for candidate in candidates if not candidate.reasons]
    return min(passed, key=lambda candidate: candidate.measurement.latency_ms, default=None)
