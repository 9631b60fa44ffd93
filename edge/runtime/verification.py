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
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.engines.open_engine import ONNX_ENGINES
from edgeloop.edge.engines.placement import Placement
from edgeloop.edge.runtime.detector import Detector, Prepared
from edgeloop.models.bundle.document import Golden, Record, WeightPrecision, read_document
from edgeloop.models.bundle.golden import (
    TOLERANCES,
    Difference,
    array_digest,
    compare_golden,
    golden_image,
    golden_record,
)
from edgeloop.models.bundle.opset import read_opset
from edgeloop.models.bundle.seal import check_seal
from edgeloop.models.heads import Head
from edgeloop.models.heads.raw import raw_to_classic
from edgeloop.models.spec import ModelSpec

__all__ = ["GoldenResult", "Verdict", "Verification", "make_golden", "verify"]

Verdict = Literal["identical", "within tolerance", "different", "unproven"]

_WARM_UPS = 2
_REPEATS = 20
_LIMIT_S = 5.0


@dataclass(frozen=True)
class GoldenResult:
    """Comparison with the golden sample.

    Attributes:
        verdict: "identical" to the last bit, "within tolerance", "different", or "unproven" if there is
            nothing to compare with.
        reason: Explanation of the verdict.
        difference: Largest difference of the golden rows; None if they were not compared.
        tolerance: Largest difference allowed; None if they were not compared.
    """

    verdict: Verdict
    reason: str
    difference: Difference | None = None
    tolerance: Difference | None = None

    @property
    def passed(self) -> bool:
        """True if the output is identical or within tolerance."""
        return self.verdict in ("identical", "within tolerance")


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
    head, output = _golden_output(detector, prepared)
    return golden_record(head, image, output)


def verify(
    path: Path,
    *,
    provider: str = "auto",
    allow_cpu: bool = False,
    tolerance: WeightPrecision | None = None,
) -> Verification:
    """Run the golden sample of a bundle and compare.

    Args:
        path: The bundle.
        provider: As for `Detector`.
        allow_cpu: As for `Detector`.
        tolerance: Precision whose rounding errors are accepted; None for the bundle's own.

    Returns:
        The report.

    Raises:
        NoInputError: The file does not exist.
        ModelError: The file is damaged, has external weights, is no detector, or has malformed metadata.
        UsageError: The provider is unknown.
        UnavailableError: The provider does not work here, or does not support the whole model.
    """
    detector = Detector(path, provider=provider, allow_cpu=allow_cpu)
    document = read_document(detector.metadata)
    record = document.record if document else Record()
    image, prepared = _golden_input(detector)
    head, output = _golden_output(detector, prepared)
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
        golden=_compare(record, head, image, output, tolerance or record.precision or "fp32"),
    )


def _golden_input(detector: Detector) -> tuple[NDArray[np.uint8], Prepared]:
    image = golden_image(detector.spec.input_size)
    return image, detector.preprocess(image)


def _golden_output(detector: Detector, prepared: Prepared) -> tuple[Head, NDArray[np.floating]]:
    """Run the model: its head and first output; of a raw head decoded, as the head that it was cut from."""
    spec, outputs = detector.spec, detector.infer(prepared)
    if spec.head == "raw":
        return "classic", raw_to_classic(outputs, spec.input_size)
    return spec.head, outputs[0]


def _compare(
    record: Record,
    head: Head,
    image: NDArray[np.uint8],
    output: NDArray[np.floating],
    precision: WeightPrecision,
) -> GoldenResult:
    golden = record.golden
    if golden is None:
        return GoldenResult("unproven", "the file carries no golden sample; export it with edgeloop")
    if golden.input_sha256 != array_digest(image):
        return GoldenResult("unproven", "its golden sample was taken on another picture; export it again")
    if golden.output_sha256 == array_digest(output):
        return GoldenResult("identical", f"all {output.size} values of the answer, to the last bit")
    if not golden.rows:
        return GoldenResult(
            "unproven",
            "the answer differs, and the file keeps only a digest of the right one, which cannot tell "
            "rounding from damage; export it again",
        )
    difference, allowed = compare_golden(golden, head, output), TOLERANCES[precision]
    off = f"off by {difference.box_px:.3g} px in a box and {difference.logit:.3g} in the logit of a score"
    limit = f"{allowed.box_px:g} px and {allowed.logit:g} for {precision}"
    if difference.within(allowed):
        return GoldenResult("within tolerance", f"{off}, allowed are {limit}", difference, allowed)
    return GoldenResult("different", f"{off}, expected at most {limit}", difference, allowed)


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
