"""Does a bundle compute here what it computed where it was made?

Three proofs, each for what the others cannot see. The seal finds every changed byte of the file; answers
alone would not: of twelve bits flipped in weights of the demo's detector, eleven moved them by no more than
rounding may. The golden digest proves, where it comes out again, that this machine computes the same to the
last bit. The golden rows judge a machine or provider that rounds differently, by what its precision explains.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.runtime.detector import Detector, Prepared
from edgeloop.edge.runtime.providers import Placement
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
from edgeloop.models.spec import ModelSpec

__all__ = ["GoldenResult", "Verdict", "Verification", "make_golden", "verify"]

Verdict = Literal["identical", "within tolerance", "different", "unproven"]

_WARM_UPS = 2
_TIMED = 20
_PATIENCE_S = 5.0


@dataclass(frozen=True)
class GoldenResult:
    """What the golden sample says.

    Attributes:
        verdict: "identical" to the last bit, "within tolerance", "different", or "unproven" for want of
            anything that could tell.
        reason: In words.
        difference: Of the golden rows at worst; None where they were not needed, or there are none.
        tolerance: What was allowed.
    """

    verdict: Verdict
    reason: str
    difference: Difference | None = None
    tolerance: Difference | None = None

    @property
    def passed(self) -> bool:
        """Whether the bundle was proven to compute here what it should."""
        return self.verdict in ("identical", "within tolerance")


@dataclass(frozen=True)
class Verification:
    """What was found out about a bundle on this machine.

    Attributes:
        path: The file.
        size: In bytes.
        sealed: Whether it carries the digest of its content; a file that does not fit its own is refused.
        opset: Version of ONNX's operators; None where it imports none.
        schema_version: Of what it says under `edgeloop`; None where it is no bundle.
        spec: How it is run.
        placement: What runs it here, and how much of it.
        latency_ms: Median time of one inference here.
        exported_latency_ms: The same on the machine that made it; None where it was not recorded.
        golden: What the golden sample says.
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
    """Write down what a bundle makes of the golden sample.

    Args:
        detector: The bundle, on the CPU.

    Returns:
        The record, for the bundle's own metadata.
    """
    image, prepared = _golden_input(detector)
    return golden_record(detector.spec.head, image, detector.infer(prepared)[0])


def verify(
    path: Path,
    *,
    provider: str = "auto",
    allow_cpu: bool = False,
    tolerance: WeightPrecision | None = None,
) -> Verification:
    """Run a bundle's golden sample and compare.

    Args:
        path: The bundle.
        provider: As for `Detector`.
        allow_cpu: As for `Detector`.
        tolerance: Precision whose rounding is allowed for; None for the bundle's own.

    Returns:
        What was found out.

    Raises:
        NoInputError: There is no such file.
        ModelError: The file is damaged, keeps weights elsewhere, is no detector, or says absurd things.
        UsageError: There is no provider of this name.
        UnavailableError: The provider does not run here, or not all of this model.
    """
    detector = Detector(path, provider=provider, allow_cpu=allow_cpu)
    document = read_document(detector.metadata)
    record = document.record if document else Record()
    image, prepared = _golden_input(detector)
    output = detector.infer(prepared)[0]
    content = path.read_bytes()
    return Verification(
        path=path,
        size=len(content),
        sealed=check_seal(content),
        opset=read_opset(content),
        schema_version=document.schema_version if document else None,
        spec=detector.spec,
        placement=detector.placement,
        latency_ms=_latency_ms(detector, prepared),
        exported_latency_ms=record.measured.latency_ms,
        golden=_compare(record, detector.spec, image, output, tolerance or record.precision or "fp32"),
    )


def _golden_input(detector: Detector) -> tuple[NDArray[np.uint8], Prepared]:
    image = golden_image(detector.spec.input_size)
    return image, detector.preprocess(image)


def _compare(
    record: Record,
    spec: ModelSpec,
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
    difference, allowed = compare_golden(golden, spec.head, output), TOLERANCES[precision]
    off = f"off by {difference.box_px:.3g} px in a box and {difference.logit:.3g} in the logit of a score"
    limit = f"{allowed.box_px:g} px and {allowed.logit:g} for {precision}"
    if difference.within(allowed):
        return GoldenResult("within tolerance", f"{off}, allowed are {limit}", difference, allowed)
    return GoldenResult("different", f"{off}, expected at most {limit}", difference, allowed)


def _latency_ms(detector: Detector, prepared: Prepared) -> float:
    """Median of a few inferences; a device that takes seconds for one is not asked twenty times."""
    for _ in range(_WARM_UPS):
        detector.infer(prepared)
    times_ms: list[float] = []
    started = time.monotonic()
    while len(times_ms) < _TIMED and (not times_ms or time.monotonic() - started < _PATIENCE_S):
        began = time.perf_counter()
        detector.infer(prepared)
        times_ms.append((time.perf_counter() - began) * 1e3)
    return statistics.median(times_ms)
