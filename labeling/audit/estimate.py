"""Estimates of precision and recall with intervals, from a person's answers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from edgeloop.labeling.audit.answers import Answers
from edgeloop.labeling.audit.sample import Sample

__all__ = ["ASSUMPTIONS", "MIN_ANSWERS", "Estimate", "Figure", "estimate"]

ASSUMPTIONS = (
    "Right means what the person at the page takes for right: the class, and a box that fits.",
    "Labels that a person drew are not judged; on the frames they count as right.",
    "Precision is taken to be the same on the drawn frames as on all labels.",
    "Objects that the person overlooked too are in neither figure: recall is an upper estimate.",
    "Each figure is of this dataset's frames; of other footage it says nothing.",
)
"""Assumptions of the figures, printed with them."""

MIN_ANSWERS = 10
"""Fewer answers (boxes for precision, frames for recall) give no figure."""

_Z = NormalDist().inv_cdf(0.975)
_BOOTSTRAP_ROUNDS = 4000


@dataclass(frozen=True, slots=True)
class Figure:
    """A share in [0, 1] and its 95 % interval, or only the number of answers if those are too few.

    Attributes:
        answers: Boxes (precision) or frames (recall) that were looked at.
        hits: Of those, labels that are right (precision); labels expected to be right (recall).
        total: Labels judged (precision); labels expected to be right, and missed objects (recall).
        value: The share; None with too few answers.
        low: Lower end of the interval; None with too few answers.
        high: Upper end of the interval; None with too few answers.
    """

    answers: int
    hits: float
    total: float
    value: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Estimate:
    """Figures of a dataset's labels, estimated from a sample.

    Attributes:
        precision: Share of the labels that are right, over all classes. Labels of persons are left out.
        by_class: The same by class name.
        recall: Share of the objects that have a right label, over all classes.
        missed: Objects without a right label on the frames that were looked at.
    """

    precision: Figure
    by_class: Mapping[str, Figure]
    recall: Figure
    missed: int


def estimate(sample: Sample, answers: Answers) -> Estimate:
    """Estimate precision and recall of a dataset's labels; with fewer than `MIN_ANSWERS` answers no value.

    Precision is the share of accepted boxes, with a 95 % Wilson interval. It treats the sample as one of an
    infinite population; if most labels of a dataset were drawn, the interval is wider than needed.

    Recall compares R, the labels on the drawn frames times that precision (labels of persons count in full),
    with R plus what was missed there. Its 95 % interval is a percentile bootstrap over frames and box
    answers, with the sample's seed. If nothing was missed on any frame, the bootstrap has no variance: then
    the lower end assumes one missed object on each of as many frames as Wilson's upper bound for the share of
    frames with one.
    """
    right = np.array(answers.boxes, np.bool_)
    classes = np.array([box.class_id for box in sample.boxes[: len(right)]], np.int64)
    frames = sample.frames[: len(answers.frames)]
    return Estimate(
        precision=_precision(right),
        by_class={name: _precision(right[classes == row]) for row, name in enumerate(sample.names)},
        recall=_recall(
            right,
            made=np.array([np.count_nonzero(~frame.by_person) for frame in frames], np.int64),
            drawn=np.array([np.count_nonzero(frame.by_person) for frame in frames], np.int64),
            missed=np.array([len(points) for points in answers.frames], np.int64),
            seed=sample.seed,
        ),
        missed=sum(len(points) for points in answers.frames),
    )


def _precision(right: NDArray[np.bool_]) -> Figure:
    count, hits = len(right), int(np.count_nonzero(right))
    if count < MIN_ANSWERS:
        return Figure(count, hits, count)
    low, high = _wilson(hits, count)
    return Figure(count, hits, count, hits / count, low, high)


def _wilson(hits: int, count: int) -> tuple[float, float]:
    """Interval of a share (Wilson, 1927)."""
    share, z2 = hits / count, _Z**2
    center = share + z2 / (2 * count)
    spread = _Z * math.sqrt(share * (1 - share) / count + z2 / (4 * count**2))
    low, high = (center - spread) / (1 + z2 / count), (center + spread) / (1 + z2 / count)
    return max(0.0, low) if hits else 0.0, min(1.0, high) if hits < count else 1.0


def _recall(
    right: NDArray[np.bool_],
    *,
    made: NDArray[np.int64],
    drawn: NDArray[np.int64],
    missed: NDArray[np.int64],
    seed: int,
) -> Figure:
    """Estimate recall from box answers bool (B,), and labels, persons' labels and misses by frame (F,)."""
    precision = right.mean() if len(right) else 0.0
    hits = float(precision * made.sum() + drawn.sum())
    total = float(hits + missed.sum())
    if min(len(right), len(made)) < MIN_ANSWERS or total == 0:
        return Figure(len(made), hits, total)
    random = np.random.default_rng([seed, 2])
    precisions = random.binomial(len(right), precision, _BOOTSTRAP_ROUNDS) / len(right)
    rows = random.integers(len(made), size=(_BOOTSTRAP_ROUNDS, len(made)))
    all_hits = precisions * made[rows].sum(axis=1) + drawn[rows].sum(axis=1)
    all_totals = all_hits + missed[rows].sum(axis=1)
    found = all_totals > 0  # draws with nothing to find have no recall
    low, high = np.percentile(all_hits[found] / all_totals[found], (2.5, 97.5))
    if not missed.any():
        low = hits / (hits + len(made) * _wilson(0, len(made))[1])
    return Figure(len(made), hits, total, hits / total, float(low), float(high))
