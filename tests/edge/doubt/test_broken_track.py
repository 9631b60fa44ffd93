"""Tracks that break, on still and moving objects, with and without a tracker."""

from __future__ import annotations

from itertools import pairwise

import pytest

from edgeloop.edge.doubt.broken_track import BrokenTracks
from edgeloop.models.detections import Detections
from tests.doubtful_frames import NOTHING, boxes, judge_all, known, with_ids

HERE = boxes((100, 100))


@pytest.mark.parametrize("fps", [5.0, 25.0, 60.0])
def test_an_object_that_is_missing_once_is_as_sure_as_its_boxes(fps: float) -> None:
    values = judge_all(BrokenTracks(), [HERE, HERE, NOTHING, boxes((102, 100), score=0.8), HERE], fps=fps)
    assert values[0] is None, "nothing is known before the first frame"
    assert values[1:] == pytest.approx([0, 0.8, 0, 0])


def test_an_object_that_is_there_all_the_time_is_in_no_doubt() -> None:
    assert known(judge_all(BrokenTracks(), [HERE] * 20))[1:] == [0.0] * 19


def test_another_class_at_its_place_is_a_gap() -> None:
    other = boxes((100, 100), class_id=1, score=0.95)
    values = known(judge_all(BrokenTracks(), [HERE, HERE, other, HERE, HERE]))
    assert values[2] > 0.85


def test_another_object_that_comes_is_no_gap() -> None:
    values = known(judge_all(BrokenTracks(), [boxes((2, 100)), NOTHING, boxes((200, 2)), boxes((200, 2))]))
    assert values[1:] == [0.0] * 3


def conveyor(index: int, *, missing: int | None = None, step: float = 25.0) -> Detections:
    """Objects one behind the other, each nearly three times as far from the next as it moves in a frame."""
    places = [(x + step * index, 100.0) for x in range(-580, 320, 70)]
    seen = [(x, y) for x, y in places if 0 < x < 290]
    return boxes(*(each for number, each in enumerate(seen) if number != missing))


def test_objects_on_a_conveyor_break_no_track_and_one_that_is_missed_does() -> None:
    frames = [conveyor(index) for index in range(20)]
    assert max(known(judge_all(BrokenTracks(), frames))[1:]) == 0.0
    frames[10] = conveyor(10, missing=2)
    values = known(judge_all(BrokenTracks(), frames))
    assert values[10] == pytest.approx(0.9)
    assert max(values[1:10] + values[11:]) == 0.0


def test_ids_of_a_tracker_join_what_moves_too_far() -> None:
    places = [(10.0, 100.0), (90.0, 60.0), (170.0, 100.0), (250.0, 60.0)]
    frames = [with_ids(boxes(place), 7) for place in places]
    untracked = known(judge_all(BrokenTracks(), [boxes(place, score=0.5) for place in places], fps=5))
    assert untracked[1] == pytest.approx(0.5), "without ids, a box that no frame around it has"
    assert known(judge_all(BrokenTracks(), frames, fps=5))[1:] == [0.0] * 3


def test_a_track_that_ends_in_mid_picture_is_in_doubt_for_a_second() -> None:
    values = known(judge_all(BrokenTracks(), [HERE] * 5 + [NOTHING] * 15))
    assert values[5] == pytest.approx(0.9 * 0.5 * 0.9)
    assert all(later < earlier for earlier, later in pairwise(values[5:15]))
    assert values[15:] == [0.0] * 5


def test_a_track_that_ends_at_the_border_left() -> None:
    frames = [boxes((250 + 8 * index, 100), side=20) for index in range(7)] + [NOTHING] * 5
    assert max(known(judge_all(BrokenTracks(), frames))[1:]) == 0.0


def test_a_track_that_ends_behind_another_object_is_hidden() -> None:
    tram = boxes((90, 90), side=80, class_id=1)
    frames = [HERE] * 5 + [tram] * 5
    assert max(known(judge_all(BrokenTracks(), frames))[6:]) == 0.0


def test_a_box_that_no_other_frame_has_is_wrong_as_its_score_says() -> None:
    flash = boxes((100, 100), score=0.3)
    assert known(judge_all(BrokenTracks(), [NOTHING, NOTHING, flash, NOTHING]))[2] == pytest.approx(0.7)


def test_frames_far_apart_say_nothing() -> None:
    assert judge_all(BrokenTracks(), [HERE, NOTHING, HERE], fps=1.0) == [None] * 3


def test_many_objects_are_bounded() -> None:
    sign = BrokenTracks()
    crowd = [
        boxes(*((x + shift, y) for x in range(0, 300, 8) for y in range(0, 200, 8)), side=6)
        for shift in (0, 3)
    ]
    judge_all(sign, crowd * 5)
    assert len(sign._objects) <= 500
