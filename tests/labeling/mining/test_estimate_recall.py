"""Intervals of the device's recall and precision in made-up worlds, where the truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from edgeloop.labeling.engine.coverage import Coverage
from edgeloop.labeling.mining.estimate_recall import TeacherErrors, estimate_device
from edgeloop.labeling.mining.frame_sample import FrameSample

CASES = 40


def world(
    random: np.random.Generator, *, frames: int, dependence: float, together: int
) -> tuple[FrameSample, TeacherErrors, float, float]:
    """Make a teacher and a device that err together, and frames that are alike for a while.

    Returns:
        What the estimate sees, and the true recall and precision on these frames.
    """
    spread, found_share, recall = (
        random.uniform(0.2, 0.6),
        random.uniform(0.85, 0.99),
        random.uniform(0.5, 0.95),
    )
    error = random.normal(0, spread)  # of the calibration, unknown to the estimate
    busy = np.repeat(random.gamma(4, 1, -(-frames // together)), together)[:frames]
    objects = random.poisson(busy)
    frame = np.repeat(np.arange(frames), objects)
    hard = np.repeat(random.normal(0, 0.5, -(-frames // together)), together)[frame] + random.normal(
        size=len(frame)
    )
    found = random.random(len(frame)) < found_share
    own = dependence * hard + np.sqrt(1 - dependence**2) * random.normal(size=len(frame))
    by_device = (own < np.quantile(own, recall)) & (found | (random.random(len(frame)) > dependence))
    odds = 2.5 - hard  # of the box of an object
    # One false box for each exp(odds) true ones of the same odds, so that the odds are those of a right box.
    copies = random.random(len(frame)) < np.exp(-odds - error).clip(0, 3) / 3
    false = np.repeat(np.flatnonzero(copies & found), 3)
    false_by_device = random.random(len(false)) < 0.3 * dependence
    at = np.concatenate((frame[found], frame[false]))
    matched = np.concatenate((by_device[found], false_by_device))
    alone = np.bincount(frame[by_device & ~found], minlength=frames) + random.poisson(0.1, frames)
    boxes = np.bincount(at, matched, minlength=frames).astype(np.int64) + alone
    probability = 1 / (1 + np.exp(-np.concatenate((odds[found], odds[false]))))
    sample = FrameSample(np.ones(frames), np.zeros(frames, np.int64), at, probability, matched, boxes, alone)
    drawn = [(int((random.random(8) < found_share).sum()), 8) for _ in range(5)]
    errors = TeacherErrors(spread, Coverage(tuple(drawn), {"bolt": (20, 20)}))
    return sample, errors, by_device.mean(), by_device.sum() / boxes.sum()


@pytest.mark.slow
@pytest.mark.parametrize("dependence", [0.0, 0.5, 0.95], ids=["independent", "half", "a student"])
@pytest.mark.parametrize(("frames", "together"), [(60, 3), (200, 12)], ids=["few frames", "alike for long"])
def test_the_true_figures_are_within_the_intervals(dependence: float, frames: int, together: int) -> None:
    random = np.random.default_rng(5)
    inside = [0, 0]
    for number in range(CASES):
        sample, errors, *true = world(random, frames=frames, dependence=dependence, together=together)
        for kind, (figure, value) in enumerate(
            zip(estimate_device(sample, errors, seed=number), true, strict=True)
        ):
            assert figure.low is not None
            assert figure.high is not None
            inside[kind] += figure.low <= value <= figure.high
    assert min(inside) >= 0.9 * CASES


def sure_sample(frames: int, missed: int) -> FrameSample:
    """Four sure boxes a frame; the device lacks the first of some frames."""
    at = np.repeat(np.arange(frames), 4)
    matched = np.ones(4 * frames, bool)
    matched[: 4 * missed : 4] = False
    boxes = np.bincount(at, matched, minlength=frames).astype(np.int64)
    return FrameSample(
        np.ones(frames), np.zeros(frames, np.int64), at, np.full(4 * frames, 0.999), matched, boxes,
        np.zeros(frames, np.int64),
    )  # fmt: skip


def test_nothing_missed_on_few_frames_is_no_certainty() -> None:
    errors = TeacherErrors(0.1, Coverage(((40, 40),) * 5, {}))
    few, many = (estimate_device(sure_sample(count, 0), errors, seed=0).recall for count in (10, 400))
    assert few.low is not None
    assert many.low is not None
    assert few.low < 0.97 < many.low


def test_a_teacher_that_misses_much_makes_the_interval_wide() -> None:
    good, poor = (
        estimate_device(
            sure_sample(50, 10), TeacherErrors(0.1, Coverage(((own, 40),) * 5, {})), seed=0
        ).recall
        for own in (40, 24)
    )
    assert good.low is not None
    assert good.high is not None
    assert poor.low is not None
    assert good.low > 0.85
    assert poor.low < 0.75
    assert good.high - good.low < 0.15


def test_a_class_that_is_in_no_exemplar_frame_is_less_certain() -> None:
    errors = TeacherErrors(0.1, Coverage(((40, 40),) * 5, {"bolt": (200, 200), "nut": (0, 0)}))
    known, unknown = (
        estimate_device(sure_sample(50, 5), errors, seed=0, class_name=name).recall
        for name in ("bolt", "nut")
    )
    assert known.low is not None
    assert unknown.low is not None
    assert unknown.low < known.low
