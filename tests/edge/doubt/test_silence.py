"""Fewer objects than around."""

from __future__ import annotations

import pytest

from edgeloop.edge.doubt.silence import Silence
from edgeloop.models.detections import Detections
from tests.doubtful_frames import NOTHING, boxes, judge_all, known


def many(count: int) -> Detections:
    return boxes(*((20.0 * number, 50.0) for number in range(count)), side=10)


@pytest.mark.parametrize("fps", [5.0, 25.0, 60.0])
def test_an_empty_frame_among_full_ones_is_in_doubt(fps: float) -> None:
    frames = [many(6)] * 10 + [NOTHING] + [many(6)] * 10
    values = known(judge_all(Silence(), frames, fps=fps))
    assert values[10] == 1.0
    assert max(values[1:10] + values[11:]) == 0.0


@pytest.mark.parametrize("fps", [5.0, 25.0, 60.0])
def test_many_objects_that_vanish_for_a_second_are_in_doubt_all_the_time(fps: float) -> None:
    second = round(fps)
    values = known(judge_all(Silence(), [many(9)] * (4 * second) + [NOTHING] * second, fps=fps))
    assert min(values[4 * second :]) > 0.6


def test_one_object_that_left_is_in_no_doubt() -> None:
    assert max(known(judge_all(Silence(), [many(1)] * 20 + [NOTHING] * 20))[1:]) == 0.0


def test_an_empty_scene_becomes_usual() -> None:
    values = known(judge_all(Silence(), [many(9)] * 50 + [NOTHING] * 50))
    assert values[50] > 0.6
    assert values[-10:] == [0.0] * 10


def test_counts_that_change_all_the_time_are_usual() -> None:
    frames = [many((3 * index) % 7) for index in range(100)]
    transient = [
        min(len(before), len(after)) > len(now)
        for before, now, after in zip(frames, frames[1:], frames[2:], strict=False)
    ]
    values = known(judge_all(Silence(), frames))[1:-1]
    assert all(value < 0.2 for value, low in zip(values, transient, strict=True) if not low)


def test_pictures_of_another_day_are_not_compared() -> None:
    sign = Silence()
    judge_all(sign, [many(9)] * 20)
    assert judge_all(sign, [NOTHING, NOTHING], start_s=1000.0, fps=0.1) == [None, None]
