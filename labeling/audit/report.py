"""Figures of an audit as text and as JSON."""

from __future__ import annotations

from dataclasses import asdict

from edgeloop.labeling.audit.estimate import ASSUMPTIONS, MIN_ANSWERS, Estimate, Figure
from edgeloop.labeling.audit.sample import Sample

__all__ = ["report_json", "report_lines"]


def report_lines(sample: Sample, found: Estimate) -> list[str]:
    """Format precision and recall as lines of text, with what the figures assume at the end."""
    width = max(map(len, ("all classes", *sample.names)))
    lines = [f"{'precision':<10}{'all classes':<{width}}  {_share(found.precision, 'box', 'boxes')}"]
    lines += [
        f"{'':<10}{name:<{width}}  {_share(figure, 'box', 'boxes')}"
        for name, figure in found.by_class.items()
    ]
    recall = _share(found.recall, "frame", "frames")
    if found.recall.value is not None:
        recall += f"; about {found.recall.hits:.0f} right labels, {found.missed} missed"
    lines.append(f"{'recall':<10}{'all classes':<{width}}  {recall}")
    lines += [
        "",
        f"From {found.precision.answers} of {sample.labels} labels and {found.recall.answers} of "
        f"{sample.images} frames, drawn at random (seed {sample.seed}); in brackets 95 % intervals.",
    ]
    return lines + list(ASSUMPTIONS)


def _share(figure: Figure, one: str, many: str) -> str:
    counted = f"{figure.answers} {one if figure.answers == 1 else many}"
    if figure.value is not None:
        return f"{figure.value:.3f}  [{figure.low:.3f}, {figure.high:.3f}]  {counted}"
    if figure.answers >= MIN_ANSWERS:
        return f"no figure: {counted} with nothing to find, or too few boxes answered"
    return f"no figure: {counted} answered, at least {MIN_ANSWERS} needed"


def report_json(sample: Sample, found: Estimate) -> dict[str, object]:
    """Give the same figures as one JSON object."""
    return {
        "dataset": str(sample.dataset),
        "digest": sample.digest,
        "seed": sample.seed,
        "labels": sample.labels,
        "images": sample.images,
        **asdict(found),
        "level": 0.95,
        "assumptions": ASSUMPTIONS,
    }
