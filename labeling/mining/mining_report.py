"""Figures of a mined ring as text and as JSON."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edgeloop.edge.cli.table import table
from edgeloop.labeling.audit.estimate import MIN_ANSWERS, Figure
from edgeloop.labeling.mining.estimate_recall import DeviceFigures
from edgeloop.labeling.mining.mine import MinedRing

__all__ = ["ASSUMPTIONS", "figures_json", "figures_table", "misses", "summary_line"]

ASSUMPTIONS = (
    "Right means what the teacher takes for right, with the probability that held-out exemplar frames show.",
    "The teacher misses on the ring as much as on the exemplar frames that its members had not seen.",
    "Of what the teacher misses, the device finds at least nothing and at most as much as of the rest.",
    "Figures are of the random share of the ring; 95 % intervals.",
)
"""Assumptions of the figures."""


def misses(mined: MinedRing, confidence: float) -> tuple[int, int]:
    """Count labels of at least this score that the device lacks, and the frames that have one."""
    counts = [int((own.found.confidence[own.missed] >= confidence).sum()) for own in mined.frames]
    return sum(counts), sum(count > 0 for count in counts)


def figures_table(mined: MinedRing) -> str:
    """Format recall and precision of all groups as a table."""
    header = ("", "objects", "frames", "recall", "95 %", "precision", "95 %")
    groups = [[_row(name, own) for name, own in rows] for rows in _groups(mined)]
    return table("<>>>>>>", header, *(rows for rows in groups if rows))


def summary_line(mined: MinedRing, confidence: float, frames: Path) -> str:
    """Tell recall, misses, and where to look at them."""
    recall = mined.estimate.whole.recall
    missed, on_frames = misses(mined, confidence)
    if recall.value is None and min(recall.answers, recall.total) >= MIN_ANSWERS:
        told = "no recall: nothing is known of what the teacher misses; box a second exemplar frame"
    elif recall.value is None:
        told = f"no recall: {recall.answers} random frames, {recall.total:.0f} objects are too few"
    else:
        told = (
            f"recall {recall.value:.2f} ({recall.low:.2f} to {recall.high:.2f}), estimated from "
            f"{recall.answers} random frames"
        )
    return (
        f"{told}; {missed} misses in {on_frames} of {len(mined.frames)} frames: look at them with "
        f"`edgeloop studio {shlex.quote(str(frames))}`"
    )


def figures_json(mined: MinedRing, confidence: float) -> dict[str, Any]:
    """Give the figures as one JSON object."""
    estimate, (missed, on_frames) = mined.estimate, misses(mined, confidence)

    def of(groups: Mapping[Any, DeviceFigures]) -> dict[str, Any]:
        return {str(name): _json(own) for name, own in groups.items()}

    return {
        "format": 1,
        "names": list(mined.names),
        "frames": len(mined.frames),
        "random_frames": estimate.frames,
        "vanished": mined.vanished,
        "unreadable": mined.unreadable,
        "misses": missed,
        "frames_with_misses": on_frames,
        "alone": sum(int(own.alone.sum()) for own in mined.frames),
        "confidence": confidence,
        "model": estimate.model,
        **_json(estimate.whole),
        "by_class": of(estimate.by_class),
        "by_camera": of(estimate.by_camera),
        "by_hour": of(estimate.by_hour),
        "level": 0.95,
        "assumptions": ASSUMPTIONS,
    }


def _json(own: DeviceFigures) -> dict[str, Any]:
    return {"recall": asdict(own.recall), "precision": asdict(own.precision)}


def _groups(mined: MinedRing) -> Iterator[list[tuple[str, DeviceFigures]]]:
    estimate = mined.estimate
    yield [("all", estimate.whole)]
    yield [*estimate.by_class.items()]
    yield [*estimate.by_camera.items()]
    yield [(f"{hour:02d}:00 to {hour:02d}:59", own) for hour, own in estimate.by_hour.items()]


def _row(name: str, own: DeviceFigures) -> tuple[str, ...]:
    recall, precision = own
    return (
        name,
        f"{recall.total:.0f}",
        str(recall.answers),
        *_share(recall),
        *_share(precision),
    )


def _share(figure: Figure) -> tuple[str, str]:
    if figure.value is None:
        return "too few", ""
    return f"{figure.value:.2f}", f"{figure.low:.2f} to {figure.high:.2f}"
