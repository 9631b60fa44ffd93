"""Comparison of a model's answer with the golden sample of its bundle."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edgeloop.models.bundle.document import Record, WeightPrecision
from edgeloop.models.bundle.golden import TOLERANCES, Difference, array_digest, compare_golden
from edgeloop.models.heads import Head
from edgeloop.models.heads.raw import raw_to_classic
from edgeloop.models.spec import ModelSpec

__all__ = ["GoldenResult", "Verdict", "check_golden", "golden_outputs"]

Verdict = Literal["identical", "within tolerance", "different", "unproven"]


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


def golden_outputs(
    spec: ModelSpec, outputs: list[NDArray[np.floating]]
) -> tuple[Head, list[NDArray[np.floating]]]:
    """Head and compared outputs of a model; of a raw head decoded, as the head that it was cut from."""
    if spec.head == "raw":
        return "classic", [raw_to_classic(outputs, spec.input_size)]
    return spec.head, outputs if spec.head == "segment" else outputs[:1]


def check_golden(
    record: Record,
    head: Head,
    image: NDArray[np.uint8],
    outputs: list[NDArray[np.floating]],
    precision: WeightPrecision,
) -> GoldenResult:
    """Compare the outputs for the golden image with the golden sample of the bundle.

    Args:
        record: Record of the bundle.
        head: Head of the outputs.
        image: Golden image, uint8 HxWx3 BGR.
        outputs: Result of `golden_outputs`.
        precision: Precision whose rounding errors are accepted.

    Returns:
        The verdict.
    """
    golden = record.golden
    if golden is None:
        return GoldenResult("unproven", "the file carries no golden sample; export it with edgeloop")
    if golden.input_sha256 != array_digest(image):
        return GoldenResult("unproven", "its golden sample was taken on another picture; export it again")
    if golden.output_sha256 == array_digest(*outputs):
        count = sum(output.size for output in outputs)
        return GoldenResult("identical", f"all {count} values of the answer, to the last bit")
    if not golden.rows:
        return GoldenResult(
            "unproven",
            "the answer differs, and the file keeps only a digest of the right one, which cannot tell "
            "rounding from damage; export it again",
        )
    difference, allowed = compare_golden(golden, head, outputs), TOLERANCES[precision]
    if difference.mask is None:
        allowed = replace(allowed, mask=None)
    off = f"off by {difference.box_px:.3g} px in a box and {difference.logit:.3g} in the logit of a score"
    limit = f"{allowed.box_px:g} px and {allowed.logit:g} for {precision}"
    if difference.mask is not None:
        off = f"{off}, and {difference.mask:.3g} in the mean of a mask"
        limit = f"{limit}, and {allowed.mask:g} in the mean of a mask"
    if difference.within(allowed):
        return GoldenResult("within tolerance", f"{off}, allowed are {limit}", difference, allowed)
    return GoldenResult("different", f"{off}, expected at most {limit}", difference, allowed)
