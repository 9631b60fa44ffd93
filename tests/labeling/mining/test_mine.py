"""Mining of rings with made-up answers."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from edgeloop.labeling.mining.mine import mine_ring
from edgeloop.labeling.mining.mined_frame import MinedFrame, compare_boxes
from edgeloop.labeling.mining.mining_report import summary_line
from edgeloop.labeling.mining.rank_frames import rank_frames
from edgeloop.models.detections import Detections
from tests.labeling.mining.made_up_ring import TableTeacher, boxes, entry, write_ring

NAMES = ("bolt", "nut")


def test_device_and_teacher_are_matched_one_to_one_by_class_name() -> None:
    found = boxes([0, 1, 2], 0.8)
    device = boxes([0, 2, 5], class_id=1)  # "bolt" is class 1 of the device
    frame = compare_boxes(entry(0, device), found, ("nut", "bolt"), NAMES)
    assert frame.missed.tolist() == [False, True, False]
    assert frame.alone.tolist() == [False, False, True]
    assert frame.expected_misses == pytest.approx(0.8)
    assert frame.expected_alarms == pytest.approx(1 + 2 * 0.2)


def test_class_that_the_teacher_does_not_know_is_no_false_alarm() -> None:
    frame = compare_boxes(entry(0, boxes([3])), boxes([0]), ("washer",), NAMES)
    assert len(frame.device) == 0
    assert frame.missed.all()


def test_mining_counts_what_vanished_and_looks_at_the_most_doubtful(tmp_path: Path) -> None:
    entries = [entry(number, boxes([0, 1])) for number in range(12)]
    entries += [entry(20 + number, boxes([0]), share="ranked", doubt=number / 10) for number in range(6)]
    ring = write_ring(tmp_path, entries)
    ring.path(entries[3]).unlink()
    ring.path(entries[4]).write_bytes(b"cut")
    teacher = TableTeacher({number: boxes([0, 1, 2], 0.95) for number in range(40)})
    mined = mine_ring(ring, teacher, NAMES, top=2)
    assert (mined.vanished, mined.unreadable, len(mined.frames)) == (1, 1, 12)
    assert teacher.asked[-2:] == [24, 25]
    assert mined.estimate.frames == 10  # of the random share alone
    recall = mined.estimate.whole.recall
    assert recall.low is not None
    assert recall.high is not None
    assert recall.low < 2 / 3 < recall.high


def test_figures_by_class_camera_and_hour(tmp_path: Path) -> None:
    noon, night = datetime(2026, 5, 4, 12, 30).timestamp(), datetime(2026, 5, 4, 23, 30).timestamp()
    entries = [
        entry(number, boxes([0, 1]), wall_time=noon + number, camera="gate") for number in range(20)
    ] + [entry(50 + number, boxes([0]), wall_time=night + number, camera="yard") for number in range(20)]
    ring = write_ring(tmp_path, entries)
    teacher = TableTeacher({number: boxes([0, 1], 0.97) for number in range(80)})
    estimate = mine_ring(ring, teacher, NAMES).estimate
    assert list(estimate.by_camera) == ["gate", "yard"]
    assert list(estimate.by_hour) == [12, 23]
    gate, yard = (estimate.by_camera[name].recall.value for name in ("gate", "yard"))
    assert gate is not None
    assert yard is not None
    assert gate > 0.9 > 0.6 > yard
    assert estimate.by_class["nut"].recall.value is None  # no object of that class: too few


def test_without_a_second_exemplar_frame_the_report_asks_for_one(tmp_path: Path) -> None:
    ring = write_ring(tmp_path, [entry(number, boxes([0, 1])) for number in range(20)])
    teacher = TableTeacher({number: boxes([0, 1], 0.97) for number in range(20)}, coverage=None)
    told = summary_line(mine_ring(ring, teacher, NAMES), 0.5, Path("frames"))
    assert told.startswith("no recall: nothing is known of what the teacher misses; box a second exemplar")


def test_frame_of_the_random_share_counts_for_those_that_it_stands_for(tmp_path: Path) -> None:
    busy = [entry(number, boxes([0, 1, 2, 3]), inclusion=0.1) for number in range(20)]
    calm = [entry(50 + number, boxes([]), inclusion=1.0) for number in range(20)]
    ring = write_ring(tmp_path, [*busy, *calm])
    teacher = TableTeacher({number: boxes([0, 1, 2, 3], 0.97) for number in range(80)})
    recall = mine_ring(ring, teacher, NAMES).estimate.whole.recall.value
    assert recall is not None
    assert recall == pytest.approx(10 / 11, abs=0.06)


def test_figures_are_of_the_model_that_answered_last(tmp_path: Path) -> None:
    before = [entry(number, boxes([]), model="b" * 64, wall_time=1000.0 + number) for number in range(15)]
    now = [entry(30 + number, boxes([0]), wall_time=2000.0 + number) for number in range(15)]
    write_ring(tmp_path, before, digest="b" * 64)
    ring = write_ring(tmp_path, now)
    teacher = TableTeacher({number: boxes([0], 0.97) for number in range(80)})
    mined = mine_ring(ring, teacher, NAMES)
    assert (mined.estimate.model, mined.estimate.frames, len(mined.frames)) == ("a" * 64, 15, 30)


def test_no_figure_without_knowing_what_the_teacher_misses(tmp_path: Path) -> None:
    ring = write_ring(tmp_path, [entry(number, boxes([0])) for number in range(15)])
    teacher = TableTeacher({number: boxes([0], 0.97) for number in range(15)}, coverage=None)
    whole = mine_ring(ring, teacher, NAMES).estimate.whole
    assert whole.recall.value is None
    assert whole.recall.answers == 15


def test_rank_prefers_misses_that_no_frame_before_shows() -> None:
    parked = [
        compare_boxes(entry(number, boxes([])), boxes([0, 1], 0.9), NAMES, NAMES) for number in range(5)
    ]
    new = compare_boxes(entry(9, boxes([])), boxes([6], 0.8, class_id=1), NAMES, NAMES)
    nothing = compare_boxes(entry(10, boxes([2])), boxes([2], 0.9), NAMES, NAMES)
    ranked = rank_frames([nothing, *parked, new])
    assert [frame.entry.frame.index for frame in ranked[:2]] == [0, 9]
    assert ranked[-1] is nothing
    assert [frame.entry.frame.index for frame in rank_frames([*parked, new], 2)] == [0, 9]


def test_rank_takes_an_object_that_moved_on_for_the_same() -> None:
    def frame(number: int, place: int, at: float) -> MinedFrame:
        return compare_boxes(entry(number, boxes([]), wall_time=at), boxes([place], 0.9), NAMES, NAMES)

    moving = [frame(number, number, 1000 + number / 10) for number in range(4)]
    ranked = rank_frames([*moving, frame(9, 5, 1060.0)], 2)
    assert [own.entry.frame.index for own in ranked] == [0, 9]


def test_ring_without_a_frame_is_mined(tmp_path: Path) -> None:
    mined = mine_ring(write_ring(tmp_path, []), TableTeacher({}), NAMES)
    assert mined.frames == ()
    assert mined.estimate.whole.recall.value is None
    assert np.isfinite(len(mined.ranked()))


def test_empty_detections_match_nothing() -> None:
    frame = compare_boxes(entry(0, Detections.empty()), Detections.empty(), NAMES, NAMES)
    assert frame.expected_misses == 0
    assert frame.expected_alarms == 0
