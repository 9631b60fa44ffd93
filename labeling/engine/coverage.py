"""Coverage: share of the objects that have any box of the engine, from held-out exemplar frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from edgeloop.labeling.engine.calibration import Calibration, HeldOut, match

__all__ = ["LEAST_PROBABILITY", "Coverage", "measure_coverage"]

LEAST_PROBABILITY = 0.05
"""Probability of a box below which it does not count as one."""


class Coverage(NamedTuple):
    """Objects of the held-out frames, and how many of them a member that has not seen them has a box for.

    Attributes:
        frames: Covered objects, and all, of each frame.
        by_class: The same of each class of all frames, by its name.
    """

    frames: tuple[tuple[int, int], ...]
    by_class: Mapping[str, tuple[int, int]]


def measure_coverage(
    held_out: Sequence[HeldOut], names: Sequence[str], calibration: Calibration
) -> Coverage | None:
    """Measure the coverage; None without an object of any class.

    Each frame is judged by one member alone, and all of them together miss less.

    Args:
        held_out: Exemplar frames, each with the detections of the member that has not seen it.
        names: Names of the classes.
        calibration: Calibration of the scores.
    """
    frames, covered, objects = [], np.zeros(len(names), np.int64), np.zeros(len(names), np.int64)
    for one in held_out:
        probable = one.found[calibration(one.found.confidence, member=True) >= LEAST_PROBABILITY]
        rows = match(HeldOut(one.frame, probable))
        known = one.frame.class_id[one.frame.class_id >= 0]
        hit = one.frame.class_id[rows[rows >= 0]]
        frames.append((len(hit), len(known)))
        covered += np.bincount(hit, minlength=len(names))
        objects += np.bincount(known, minlength=len(names))
    if not objects.any():
        return None
    counts = zip(names, covered.tolist(), objects.tolist(), strict=True)
    return Coverage(tuple(frames), {name: (own, all_of) for name, own, all_of in counts})
