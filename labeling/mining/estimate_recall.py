"""Estimates of the device's recall and precision, from the boxes of a teacher that errs too."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, t

from edgeloop.labeling.audit.estimate import MIN_ANSWERS, Figure
from edgeloop.labeling.engine.coverage import Coverage
from edgeloop.labeling.mining.frame_sample import FrameSample

__all__ = ["DeviceFigures", "TeacherErrors", "estimate_device"]

_DRAWS, _SHIFTS = 1000, 25  # draws of the bootstrap; shifts of the calibration, with as many draws each
_LEVEL = (0.025, 0.975)
_EDGES = (0.3, 0.7)  # of bins of probability
_LIMIT = 1e-3
_CLASS_PRIOR = 4.0  # objects by which a class is taken to be covered as all are
_LEAST_COVERED = 0.02
_ALIKE, _ALIKE_FRAMES = 2.0, 5  # usual design effect of the objects of a frame, and frames that it is worth
_ALL_COVERED = 0.5  # objects by which what was never seen is not taken for certain, as of Jeffreys


class TeacherErrors(NamedTuple):
    """Errors of a teacher, as far as its held-out exemplar frames tell.

    Attributes:
        spread: Standard deviation of the log odds of its probabilities.
        coverage: Share of the objects that it has any box for; None if unknown.
    """

    spread: float
    coverage: Coverage | None


class DeviceFigures(NamedTuple):
    """Recall and precision of the device on one group of frames and classes.

    `Figure.answers` is the number of frames, or of the device's boxes; `Figure.value` is None with too few of
    them, or of objects, or if nothing is known of what the teacher misses.
    """

    recall: Figure
    precision: Figure


class _Draws(NamedTuple):
    """One value for each draw, (D,), in frames of the sample.

    Attributes:
        objects: Objects with a box of the teacher.
        least: Objects that teacher and device have, if a match says nothing beyond the probability.
        most: The same if every match is an object, as far as there are as many.
        boxes: Boxes of the device.
        alone: Those that the teacher lacks.
    """

    objects: NDArray[np.float64]
    least: NDArray[np.float64]
    most: NDArray[np.float64]
    boxes: NDArray[np.float64]
    alone: NDArray[np.float64]


class _Shares(NamedTuple):
    """Recall and precision by draw, at the end of each that the dependence of both detectors leaves open."""

    recall: tuple[NDArray[np.float64], NDArray[np.float64]]
    precision: tuple[NDArray[np.float64], NDArray[np.float64]]


def estimate_device(
    sample: FrameSample, errors: TeacherErrors, *, seed: int, class_name: str | None = None
) -> DeviceFigures:
    """Estimate recall and precision of the device, with 95 % intervals.

    An object is expected at each box of the teacher with its probability. How many the teacher has no box for
    is estimated from held-out exemplar frames. Of these the device has as large a share as of the others if
    both err independently (Lincoln-Petersen), and none if it misses what the teacher misses, as a student of
    this teacher may; likewise a match may say that a box is right for sure, or no more than its probability.
    The value is in the middle, and the interval reaches from the lower end of the one to the upper end of the
    other. Each end is a bootstrap over blocks of neighboring frames, over shifts of the calibration, and over
    the exemplar frames.

    Args:
        sample: Frames of the random share.
        errors: Errors of the teacher.
        seed: Random seed.
        class_name: Class of the boxes; None for all.
    """
    frames, boxes = len(sample.weight), int(sample.boxes.sum())
    hits, total = float(sample.probability[sample.matched].sum()), float(sample.probability.sum())
    unknown = DeviceFigures(Figure(frames, hits, total), Figure(boxes, hits, boxes))
    if errors.coverage is None or frames < MIN_ANSWERS or total < MIN_ANSWERS:
        return unknown
    random = np.random.default_rng([seed, 3])
    block = sample.block()
    draws = _draw(sample, errors.spread, block, random)
    coverage = _draw_coverage(errors.coverage, class_name, len(draws.objects), random)
    center = _shares(_expected(sample), np.array([_center(errors.coverage, class_name)]))
    drawn = _shares(draws, coverage)
    wide = float(t.ppf(_LEVEL[1], max(2.0, frames / block - 1)) / norm.ppf(_LEVEL[1]))
    recall = _figure(frames, (hits, total), center.recall, drawn.recall, wide)
    if boxes < MIN_ANSWERS:
        return DeviceFigures(recall, unknown.precision)
    return DeviceFigures(recall, _figure(boxes, (hits, boxes), center.precision, drawn.precision, wide))


def _draw(sample: FrameSample, spread: float, block: int, random: np.random.Generator) -> _Draws:
    """Draw frames and shifts of the calibration."""
    shifts = norm.ppf((np.arange(_SHIFTS) + 0.5) / _SHIFTS) * spread
    parts = [
        _sums(sample, sample.draw(_DRAWS // _SHIFTS, block, random), float(shift), random) for shift in shifts
    ]
    return _Draws(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _expected(sample: FrameSample) -> _Draws:
    return _sums(sample, sample.weight[None], 0.0, None)


def _sums(
    sample: FrameSample, weight: NDArray[np.float64], shift: float, random: np.random.Generator | None
) -> _Draws:
    """Sums over frames, weighted by rows of `weight` (D, F), with the noise of what is drawn by chance."""
    limited = np.clip(sample.probability, _LIMIT, 1 - _LIMIT)
    probability = 1 / (1 + (1 - limited) / limited * np.exp(-shift))
    bins = np.digitize(sample.probability, _EDGES)
    objects, least, most = np.zeros(len(weight)), np.zeros(len(weight)), np.zeros(len(weight))
    for number in range(len(_EDGES) + 1):
        own = bins == number
        expected = weight @ sample.of_frames(probability * own)
        matched = weight @ sample.of_frames((sample.matched & own).astype(np.float64))
        objects += expected
        most += np.minimum(expected, matched)
        least += weight @ sample.of_frames(probability * (sample.matched & own))
    boxes, alone = weight @ sample.boxes, weight @ sample.alone
    if random is None:
        return _Draws(objects, least, most, boxes, alone)
    variance = probability * (1 - probability)
    found = _noise(weight**2 @ sample.of_frames(variance * sample.matched), random)
    missed = _noise(weight**2 @ sample.of_frames(variance * ~sample.matched), random)
    # One more hit or miss is drawn too: resamples of frames without a miss would not differ.
    one, other = random.gamma(_ALL_COVERED, size=(2, len(weight)))
    least, most = (np.maximum(own + found, 0) + one for own in (least, most))
    objects = np.maximum(objects + found + missed, 0) + one + other
    return _Draws(np.maximum(objects, most), np.minimum(least, most), most, boxes + one + other, alone)


def _noise(variance: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
    return random.normal(size=len(variance)) * np.sqrt(variance)


def _shares(draws: _Draws, coverage: NDArray[np.float64]) -> _Shares:
    objects = np.maximum(draws.objects, 1e-9)
    uncovered = objects * (1 / coverage - 1)
    # Of the objects that the teacher has no box for, the device can have no more than its boxes alone.
    beyond = np.minimum(uncovered * draws.most / objects, draws.alone)
    boxes = np.maximum(draws.boxes, 1e-9)
    return _Shares(
        recall=(draws.least / (objects + uncovered), (draws.most + beyond) / (objects + uncovered)),
        precision=(
            np.minimum(draws.least / boxes, 1.0),
            np.minimum((draws.most + beyond) / boxes, 1.0),
        ),
    )


def _figure(
    answers: int,
    counts: tuple[float, float],
    center: tuple[NDArray[np.float64], NDArray[np.float64]],
    drawn: tuple[NDArray[np.float64], NDArray[np.float64]],
    wide: float,
) -> Figure:
    """Value and interval; the distance of each end from its own center grows if there are few blocks."""
    least, most = float(center[0][0]), float(center[1][0])
    low = least - wide * (least - float(np.quantile(drawn[0], _LEVEL[0])))
    high = most + wide * (float(np.quantile(drawn[1], _LEVEL[1])) - most)
    value = (least + most) / 2
    return Figure(answers, *counts, value, max(0.0, min(low, value)), min(1.0, max(high, value)))


def _center(coverage: Coverage, class_name: str | None) -> float:
    covered, objects = np.array(coverage.frames).sum(axis=0).tolist()
    share = float((covered + _ALL_COVERED) / (objects + 2 * _ALL_COVERED))
    if class_name is not None:
        own, all_of = coverage.by_class.get(class_name, (0, 0))
        share = (own + _CLASS_PRIOR * share) / (all_of + _CLASS_PRIOR)
    return share + (1 - share) / 4  # in the middle of what `_draw_coverage` draws


def _draw_coverage(
    coverage: Coverage, class_name: str | None, count: int, random: np.random.Generator
) -> NDArray[np.float64]:
    """Draw the share of the objects that the ensemble has a box for, (count,).

    It is a beta posterior of as many objects as those of so few frames are worth. Members that have not seen
    a frame were asked one by one, and all together miss less: up to half of what lacks to 1 is added.
    """
    counts = np.array(coverage.frames, np.float64)
    covered, objects = counts.sum(axis=0).tolist()
    worth = 1 / _alike(counts)
    share = random.beta(
        covered * worth + _ALL_COVERED, (objects - covered) * worth + _ALL_COVERED, size=count
    )
    if class_name is not None:
        own, all_of = coverage.by_class.get(class_name, (0, 0))
        share = random.beta(
            own * worth + _CLASS_PRIOR * share, (all_of - own) * worth + _CLASS_PRIOR * (1 - share) + _LIMIT
        )
    share = np.clip(share, _LEAST_COVERED, 1.0)
    return np.asarray(share + random.uniform(0, 0.5, count) * (1 - share))


def _alike(counts: NDArray[np.float64]) -> float:
    """Design effect: number of objects of one frame that tell as much as one object of many frames.

    It is estimated from covered objects, and all, of each frame (F, 2), as much as so few can tell of it.
    """
    covered, objects = counts.T
    share = covered.sum() / objects.sum()
    expected = float((objects * share * (1 - share)).sum())
    found = float(((covered - objects * share) ** 2).sum()) / expected if expected else 1.0
    usual = (found * len(counts) + _ALIKE * _ALIKE_FRAMES) / (len(counts) + _ALIKE_FRAMES)
    return float(np.clip(usual, 1.0, max(1.0, objects.sum() / len(counts))))
