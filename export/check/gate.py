"""Release gate: a bundle ships only if it repeats torch's boxes and masks and keeps its mAP."""

from __future__ import annotations

from edgeloop.edge.scoring.coco import Scores
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
            f"class '{name}' {of_class.repeated} of {of_class.boxes}" + _other_masks(parity.other_masks)
        )
    for what, was, now in _score_pairs(measurement, reference):
        lost = was.map50_95 - now.map50_95
        if lost > options.tolerance_map:
            before, after = was.per_class[name].map50_95, now.per_class[name].map50_95
            reasons.append(
                f"{precision} loses {lost:.3f} of torch's {what} of {was.map50_95:.3f} (allowed: "
                f"{options.tolerance_map:g}); class '{name}' goes from {before:.3f} to {after:.3f}"
            )
    return tuple(reasons)


def _other_masks(count: int | None) -> str:
    return (
        f"; {count} of the missing {'has' if count == 1 else 'have'} the box but another mask"
        if count
        else ""
    )


def _score_pairs(measurement: Measurement, reference: Reference) -> list[tuple[str, Scores, Scores]]:
    """Scores to compare: their name, torch's, and the bundle's."""
    pairs = [("mAP50-95", reference.scores, measurement.scores)]
    if reference.mask_scores is not None and measurement.mask_scores is not None:
        pairs.append(("mask mAP50-95", reference.mask_scores, measurement.mask_scores))
    return pairs


def _worst_class(measurement: Measurement, reference: Reference) -> str:
    """The class that lost most, average precision and share of boxes summed."""
    pairs = _score_pairs(measurement, reference)

    def loss(name: str) -> float:
        lost = sum(was.per_class[name].map50_95 - now.per_class[name].map50_95 for _, was, now in pairs)
        parity = measurement.per_class[name]
        return lost + (1 - parity.matched if parity.boxes else 0.0)

    return max(reference.scores.per_class, key=loss)
