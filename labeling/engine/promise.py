"""Estimate of label quality from held-out exemplar frames."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from edgeloop.labeling.engine.calibration import Calibration, HeldOut, match
from edgeloop.models.detections import Detections

__all__ = ["Estimate", "Promise", "estimate_quality"]

_RESAMPLES, _FEWEST_RESAMPLES = 1000, 40  # by the number of frames: each scores all of them
_RECALLS = np.linspace(0, 1, 101)  # of COCO's average precision
_COVERED, _Z = (0.05, 0.95), 1.645
_FEW_FRAMES = 2  # frames with a class below which nothing about it can be estimated


class Estimate(BaseModel):
    """Value with a 90 % interval, in [0, 1].

    Attributes:
        value: The value.
        low: Lower end of the interval.
        high: Upper end of the interval.
    """

    model_config = ConfigDict(frozen=True)

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})"


class Promise(BaseModel):
    """Expected quality of the labels.

    Attributes:
        map50: Mean average precision at IoU 0.5, over the classes that were estimated.
        precision: Share of the labels that are right; None if there was no label.
        recall: Share of the objects that are labeled.
        too_few: Classes that are on fewer than two exemplar frames, of which nothing can be estimated.
    """

    model_config = ConfigDict(frozen=True)

    map50: Estimate
    precision: Estimate | None
    recall: Estimate
    too_few: tuple[str, ...]

    def __str__(self) -> str:
        told = (
            f"Expected on other frames, from held-out exemplar frames: mAP50 {self.map50}, precision "
            f"{self.precision or 'unknown'}, recall {self.recall}."
        )
        if self.too_few:
            told += f" Box more of {', '.join(self.too_few)}: on fewer than two frames, not estimated."
        return told


def estimate_quality(
    held_out: Sequence[HeldOut],
    names: Sequence[str],
    calibration: Calibration,
    *,
    confidence: float,
    seed: int,
) -> Promise | None:
    """Estimate what labels of other frames will be like; None if no class is on two frames.

    The interval is a bootstrap over frames (Efron, 1979), with the spread of a mean of few frames. Each frame
    is judged by one member alone, and all of them together are better: the upper end allows for that.

    Args:
        held_out: Exemplar frames, each with the detections of the member that has not seen it.
        names: Names of the classes.
        calibration: Calibration of the scores.
        confidence: Minimum label score.
        seed: Random seed.
    """
    frames_of = Counter(number for one in held_out for number in set(one.frame.class_id.tolist()))
    known = [number for number in range(len(names)) if frames_of[number] >= _FEW_FRAMES]
    if not known:
        return None
    parts = [_Part.of(one, known, calibration, confidence) for one in held_out]
    rng = np.random.default_rng(seed)
    resamples = max(_FEWEST_RESAMPLES, _RESAMPLES // len(parts))
    sets = Counter(
        tuple(sorted(rng.integers(len(parts), size=len(parts)).tolist())) for _ in range(resamples)
    )

    def estimate(measure: Callable[[Sequence[_Part]], float], count: int) -> Estimate:
        drawn = {rows: measure([parts[row] for row in rows]) for rows in sets}
        values = np.repeat([drawn[rows] for rows in sets], list(sets.values()))
        return _interval(measure(parts), values[np.isfinite(values)], len(parts), count)

    labels, truths = (sum(getattr(part, name) for part in parts) for name in ("labels", "truths"))
    return Promise(
        map50=estimate(lambda own: _map50(own, known), truths),
        precision=estimate(lambda own: _share([(part.right, part.labels) for part in own]), labels)
        if labels
        else None,
        recall=estimate(lambda own: _share([(part.right, part.truths) for part in own]), truths),
        too_few=tuple(name for number, name in enumerate(names) if number not in known),
    )


class _Part(NamedTuple):
    """One frame, of the known classes.

    Attributes:
        found: Detections.
        hits: bool (N,), detections that match an object.
        objects: Class ids of the objects.
        right: Number of labels that are right.
        labels: Number of labels.
        truths: Number of objects.
    """

    found: Detections
    hits: NDArray[np.bool_]
    objects: NDArray[np.int64]
    right: int
    labels: int
    truths: int

    @classmethod
    def of(cls, one: HeldOut, known: Sequence[int], calibration: Calibration, confidence: float) -> _Part:
        found = one.found.of_class(*known)
        hits = match(HeldOut(one.frame, found)) >= 0
        sure = calibration(found.confidence, member=True) >= confidence
        objects = one.frame.class_id[np.isin(one.frame.class_id, known)]
        return cls(found, hits, objects, int(hits[sure].sum()), int(sure.sum()), len(objects))


def _map50(parts: Sequence[_Part], known: Sequence[int]) -> float:
    """Mean average precision at IoU 0.5 as COCO defines it; what matches is the same in any resample."""
    class_id, score = (
        np.concatenate([getattr(part.found, name) for part in parts]) for name in ("class_id", "confidence")
    )
    order = np.argsort(-score, kind="stable")
    class_id, hits = class_id[order], np.concatenate([part.hits for part in parts])[order]
    objects = np.concatenate([part.objects for part in parts])
    counts = {number: int((objects == number).sum()) for number in known}
    precisions = [
        _average_precision(hits[class_id == each], count) for each, count in counts.items() if count
    ]
    return float(np.mean(precisions)) if precisions else float("nan")


def _average_precision(hits: NDArray[np.bool_], objects: int) -> float:
    """Mean precision at 101 recalls, of detections by falling score."""
    right = np.cumsum(hits)
    precision = right / np.arange(1, len(hits) + 1)
    highest = np.maximum.accumulate(precision[::-1])[::-1]  # at this recall or a higher one
    return float(np.append(highest, 0.0)[np.searchsorted(right / objects, _RECALLS)].mean())


def _share(counts: Sequence[tuple[int, int]]) -> float:
    part, whole = (sum(column) for column in zip(*counts, strict=True))
    return part / whole if whole else float("nan")


def _interval(value: float, drawn: NDArray[np.float64], frames: int, count: int) -> Estimate:
    """Interval of the resamples, as wide as so few frames make it, and up by half of what lacks to 1.

    It reaches down to Wilson's bound for a share of `count` objects at least: resamples of frames on which
    everything was found do not differ.
    """
    low, high = np.quantile(drawn, _COVERED) if len(drawn) else (0.0, 1.0)
    wide = 1 + 2 / max(frames - 1, 1)
    low, high = value - wide * (value - low), value + wide * (high - value)
    return Estimate(
        value=round(value, 3),
        low=round(max(0.0, min(low, _wilson_low(value, count))), 3),
        high=round(min(1.0, max(high, value + (1 - value) / 2)), 3),
    )


def _wilson_low(share: float, count: int) -> float:
    """Lower bound of a share of `count` (Wilson, 1927), one-sided 95 %."""
    z2 = _Z**2
    center = share + z2 / (2 * count)
    spread = _Z * math.sqrt(share * (1 - share) / count + z2 / (4 * count**2))
    return (center - spread) / (1 + z2 / count)
