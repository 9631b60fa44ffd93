"""Ids: the same object keeps its own, in the order of the rows, and only where the library is there."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from edgeloop.edge.tracking.tracker import LOST_S, NO_ID, Tracker, open_tracker
from edgeloop.models.detections import Detections
from edgeloop.models.errors import UnavailableError
from tests.masked import masked

FPS = 30.0


def found(*boxes: tuple[float, float, float, float], confidence: float = 0.9) -> Detections:
    """Boxes xyxy in pixels, the class of each is its place."""
    count = len(boxes)
    return Detections(
        np.array(boxes, np.float32).reshape(count, 4),
        np.full(count, confidence, np.float32),
        np.arange(count, dtype=np.int64),
    )


def box(x: float, y: float) -> tuple[float, float, float, float]:
    return (x, y, x + 40, y + 40)


def ids(tracker: Tracker, detections: Detections, frame: float) -> list[int]:
    tracked = tracker.update(detections, frame / FPS)
    assert tracked.tracker_id is not None
    assert np.array_equal(tracked.xyxy, detections.xyxy), "rows stay where they are"
    assert np.array_equal(tracked.class_id, detections.class_id)
    return tracked.tracker_id.tolist()


@pytest.fixture
def tracker() -> Tracker:
    pytest.importorskip("trackers", reason="needs edgeloop[track]")
    return open_tracker(fps=FPS, confidence=0.25)


def test_two_objects_that_pass_each_other_keep_their_ids_whatever_the_order_of_rows(tracker: Tracker) -> None:
    of_right = set()
    for frame in range(60):
        right, left = box(10 + 5 * frame, 100), box(310 - 5 * frame, 160)
        both = ids(tracker, found(right, left) if frame % 2 else found(left, right), frame)
        if frame:
            assert sorted(both) == [0, 1]
            of_right.add(both[0] if frame % 2 else both[1])
    assert len(of_right) == 1


def test_an_object_seen_once_has_no_id_yet(tracker: Tracker) -> None:
    assert ids(tracker, found(box(10, 10)), 0) == [NO_ID]
    assert ids(tracker, found(box(11, 10)), 1) == [0]


def test_an_unsure_box_goes_on_but_does_not_begin(tracker: Tracker) -> None:
    for frame in range(5):
        assert ids(tracker, found(box(10, 10), confidence=0.3), frame) == [NO_ID]
    ids(tracker, found(box(10, 10)), 5)
    assert ids(tracker, found(box(10, 10)), 6) == [0]
    assert ids(tracker, found(box(10, 10), confidence=0.3), 7) == [0]


@pytest.mark.parametrize(
    ("gap_s", "same"),
    [
        pytest.param(0.8 * LOST_S, True, id="hidden for a moment"),
        pytest.param(1.5 * LOST_S, False, id="gone"),
    ],
)
@pytest.mark.parametrize("frames", [True, False], ids=["empty frames between", "dropped frames between"])
def test_how_long_an_id_lasts_goes_by_the_clock(
    tracker: Tracker, gap_s: float, same: bool, frames: bool
) -> None:
    for frame in range(5):
        before = ids(tracker, found(box(100, 100)), frame)
    back = 5 + round(gap_s * FPS)
    for frame in range(5, back if frames else 5):
        assert ids(tracker, Detections.empty(), frame) == []
    ids(tracker, found(box(100, 100)), back)
    assert (ids(tracker, found(box(100, 100)), back + 1) == before) is same


def test_trackers_of_two_sources_count_alone(tracker: Tracker) -> None:
    other = open_tracker(fps=FPS)
    for one in (tracker, other):
        for frame in range(3):
            last = ids(one, found(box(10, 10)), frame)
        assert last == [0]


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trackers", None)
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(UnavailableError, match=r"is not installed; pip install 'edgeloop\[track\]'"):
        open_tracker()


@pytest.mark.slow
def test_the_library_is_loaded_only_when_asked_for() -> None:
    code = (
        "import sys, edgeloop.edge.tracking.tracker, edgeloop.edge.loop.stream\n"
        "import edgeloop.edge.loop.pipeline, edgeloop.edge.sinks\n"
        "assert not {'trackers', 'supervision', 'scipy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.slow
def test_the_library_brings_neither_torch_nor_another_opencv() -> None:
    pytest.importorskip("trackers", reason="needs edgeloop[track]")
    code = "import sys, trackers, supervision; assert not {'torch', 'matplotlib', 'av'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
    from importlib.metadata import requires

    needed = " ".join((requires("trackers") or []) + (requires("supervision") or []))
    assert "headless" not in needed


def test_masks_stay_with_their_rows(tracker: Tracker) -> None:
    for frame in range(3):
        tracked = tracker.update(masked(*pixels(10 + frame)), frame / FPS)
    assert tracked.tracker_id is not None
    assert tracked.masks is not None
    assert sorted(tracked.tracker_id.tolist()) == [0, 1]
    assert tracked.masks.area.tolist() == [1600, 400]


def pixels(left: int) -> tuple[np.ndarray, np.ndarray]:
    """Whole masks of a square and of a quarter of another."""
    square, quarter = np.zeros((200, 320), np.bool_), np.zeros((200, 320), np.bool_)
    square[10:50, left : left + 40] = True
    quarter[110:130, left + 100 : left + 120] = True
    return square, quarter
