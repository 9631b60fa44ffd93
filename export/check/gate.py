"""Release gate: a bundle ships only if it repeats torch's boxes and keeps its mAP."""

from __future__ import annotations

from edgeloop.export.check.measure import Measurement, Reference
from edgeloop.export.export_options import ExportOptions

__all__ = ["refusals"]


def refusals(measurement: Measurement, reference: Reference, options: ExportOptions) -> tuple[str, ...]:
    """List the reasons to refuse a bundle, one clause each; empty if it passes."""
    parity, precision = measurement.parity, measurement.precision
    if not parity.boxes:
        return (
            f"the detector finds nothing with a confidence of 0.25 on {parity.frames} held-out frames, so "
            "there is nothing to compare; train it for longer",
        )
    name = _worst_class(measurement, reference)
    reasons = []
    if parity.boxes - parity.repeated > options.tolerance_boxes * parity.boxes:
        of_class = measurement.per_class[name]
        reasons.append(
            f"{precision} repeats {parity.repeated} of torch's {parity.boxes} boxes on {parity.frames} "
            f"held-out frames ({parity.matched:.1%}, expected {1 - options.tolerance_boxes:.1%} or more); of "
            f"class '{name}' {of_class.repeated} of {of_class.boxes}"
        )
    lost = reference.scores.map50_95 - measurement.scores.map50_95
    if lost > options.tolerance_map:
        was, now = (scores.per_class[name].map50_95 for scores in (reference.scores, measurement.scores))
        reasons.append(
            f"{precision} loses {lost:.3f} of torch's mAP50-95 of {reference.scores.map50_95:.3f} (allowed: "
            f"{options.tolerance_map:g}); class '{name}' goes from {was:.3f} to {now:.3f}"
        )
    return tuple(reasons)


def _worst_class(measurement: Measurement, reference: Reference) -> str:
    """The class that lost most, average precision and share of boxes summed."""

    def loss(name: str) -> float:
        was, now = (scores.per_class[name].map50_95 for scores in (reference.scores, measurement.scores))
        parity = measurement.per_class[name]
        return was - now + (1 - parity.matched if parity.boxes else 0.0)

    return max(reference.scores.per_class, key=loss)
