"""Places where something usually is."""

from __future__ import annotations

import pytest

from edgeloop.edge.doubt.empty_place import EmptyPlaces
from tests.doubtful_frames import NOTHING, boxes, judge_all, known

PARKED = boxes((40, 40), (200, 150))


@pytest.mark.parametrize("fps", [5.0, 30.0])
def test_a_place_that_was_always_occupied_is_missed(fps: float) -> None:
    frames = [PARKED] * round(60 * fps) + [PARKED[0]]
    values = judge_all(EmptyPlaces(), frames, fps=fps)
    assert values[round(5 * fps)] is None, "ten seconds are needed to know a place"
    assert max(known(values)[round(11 * fps) : -1]) == 0.0
    assert known(values)[-1] > 0.95


def test_boxes_that_jitter_leave_no_place() -> None:
    frames = [boxes((100 + 4 * (index % 3), 100 + 3 * (index % 2))) for index in range(600)]
    assert max(known(judge_all(EmptyPlaces(), frames))[101:]) == 0.0


def test_an_object_that_left_for_good_is_forgotten() -> None:
    values = known(judge_all(EmptyPlaces(), [PARKED] * 600 + [PARKED[0]] * 600))
    assert values[600] > 0.95
    assert 0 < values[800] < values[600]
    assert values[-150:] == [0.0] * 150


def test_a_way_on_which_objects_pass_is_no_place() -> None:
    frames = [boxes((20, 100)) if index % 10 < 4 else NOTHING for index in range(1000)]
    assert max(known(judge_all(EmptyPlaces(), frames))[200:]) < 0.1


def test_any_class_occupies_a_place() -> None:
    values = judge_all(EmptyPlaces(), [PARKED] * 300 + [boxes((40, 40), (200, 150), class_id=3)] * 10)
    assert max(known(values)[101:]) == 0.0
