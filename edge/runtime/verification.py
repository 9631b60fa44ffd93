"""Verification that a bundle computes the same here as where it was exported.

The checksum detects every changed byte of the file; outputs alone do not: of twelve flipped bits in weights
of the demo's detector, eleven changed them by no more than rounding. An equal golden digest proves that this
machine computes the same to the last bit. The golden rows tell rounding from other differences.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.engines.open_engine import ONNX_ENGINES
from edgeloop.edge.engines.placement import Placement
from edgeloop.edge.runtime.detector import Detector, Prepared
from edgeloop.edge.runtime.golden_check import GoldenResult, check_golden, golden_outputs
from edgeloop.models.bundle.document import Golden, Record, WeightPrecision, read_document
from edgeloop.models.bundle.golden import golden_image, golden_record
from edgeloop.models.bundle.onnx_content import read_opset
from edgeloop.models.bundle.seal import check_seal
from edgeloop.models.facts.overrides import SpecOverrides
from edgeloop.models.spec import ModelSpec

__all__ = ["Verification", "make_golden", "verify"]

_WARM_UPS = 2
_REPEATS = 20
_LIMIT_S = 5.0


@dataclass(frozen=True)
class Verification:
    """Report on a bundle on this machine.

    Attributes:
        path: Path of the file.
        size: Size in bytes.
        sealed: True if the file has a checksum; one that does not match is refused.
        opset: Version of ONNX's own operators; None if it imports none, or is no ONNX file.
        schema_version: Schema of the document under `edgeloop`; None if the file is no bundle.
        spec: Settings of the model.
        placement: Execution provider, and the share of the model that runs on it.
        latency_ms: Median time of one inference here.
        exported_latency_ms: Median time on the exporting machine; None if unknown.
        golden: Comparison with the golden sample.
    """

    path: Path
    size: int
    sealed: bool
    opset: int | None
    schema_version: int | None
    spec: ModelSpec
    placement: Placement
    latency_ms: float
    exported_latency_ms: float | None
    golden: GoldenResult


def make_golden(detector: Detector) -> Golden:
    """Record the golden sample of a bundle that runs on the CPU, for its metadata."""
    image, prepared = _golden_input(detector)
    head, outputs = golden_outputs(detector.spec, detector.infer(prepared))
    return golden_record(head, image, outputs)


def verify(
    path: Path,
    *,
    provider: str = "auto",
    allow_cpu: bool = False,
    tolerance: WeightPrecision | None = None,
    overrides: SpecOverrides | None = None,
) -> Verification:
    """Run the golden sample of a bundle and compare.

    Args:
        path: The bundle.
        provider: As for `Detector`.
        allow_cpu: As for `Detector`.
        tolerance: Precision whose rounding errors are accepted; None for the bundle's own.
        overrides: As for `Detector`.

    Returns:
        The report.

    Raises:
        NoInputError: The file does not exist.
        ModelError: The file is damaged, has external weights, is no detector, or has malformed metadata.
        UsageError: The provider is unknown.
        UnavailableError: The provider does not work here, or does not support the whole model.
    """
    detector = Detector(path, provider=provider, allow_cpu=allow_cpu, overrides=overrides)
    document = read_document(detector.metadata)
    record = document.record if document else Record()
    image, prepared = _golden_input(detector)
    head, outputs = golden_outputs(detector.spec, detector.infer(prepared))
    content = path.read_bytes()
    is_onnx = detector.placement.engine in ONNX_ENGINES
    return Verification(
        path=path,
        size=len(content),
        # Files of other engines were checked against the digest in their facts.
        sealed=check_seal(content) if is_onnx else True,
        opset=read_opset(content) if is_onnx else None,
        schema_version=document.schema_version if document else None,
        spec=detector.spec,
        placement=detector.placement,
        latency_ms=_latency_ms(detector, prepared),
        exported_latency_ms=record.measured.latency_ms,
        golden=check_golden(record, head, image, outputs, tolerance or record.precision or "fp32"),
    )


def _golden_input(detector: Detector) -> tuple[NDArray[np.uint8], Prepared]:
    image = golden_image(detector.spec.input_size)
    return image, detector.preprocess(image)


def _latency_ms(detector: Detector, prepared: Prepared) -> float:
    """Measure the median time of up to 20 inferences, within 5 s."""
    for _ in range(_WARM_UPS):
        detector.infer(prepared)
    times_ms: list[float] = []
    started = time.monotonic()
    while len(times_ms) < _REPEATS and (not times_ms or time.monotonic() - started < _LIMIT_S):
        began = time.perf_counter()
        detector.infer(prepared)
        times_ms.append((time.perf_counter() - began) * 1e3)
    return statistics.median(times_ms)
