"""Signs of one frame put together, and the second look."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgeloop.edge.doubt.frame_doubt import DEFAULT_WEIGHTS, FrameDoubt
from edgeloop.edge.doubt.judged_frame import SIGNS, JudgedFrame
from edgeloop.edge.doubt.scale_disagreement import disagreement
from edgeloop.edge.doubt.second_look import shrunk_look, stream_look
from edgeloop.edge.frame import Frame
from edgeloop.edge.loop.open_stream import open_stream
from edgeloop.edge.result import Result, Timings
from edgeloop.edge.runtime.detector import Detector
from edgeloop.edge.sources import as_source
from edgeloop.edge.tracking import IgnoreMask
from edgeloop.models.detections import Detections
from tests.blocks import block_box, draw_block
from tests.doubtful_frames import NOTHING, PLAIN, boxes

THRESHOLD = 0.4
HERE = boxes((100, 100))


def result(found: Detections, index: int, *, unchanged: bool = False) -> Result:
    frame = Frame(PLAIN, index, index / 10, 1700000000.0, "camera")
    return Result(frame, found, Timings(1.0, {"infer": 1.0}), unchanged=unchanged)


def judged(doubt: FrameDoubt, frames: list[Detections], *, timed: bool = True) -> list[JudgedFrame]:
    """Frames of a camera, ten a second, as they are judged."""
    out = [
        doubt.add(result(found, index), index / 10 if timed else math.nan)
        for index, found in enumerate(frames)
    ]
    return [each for each in (*out, doubt.close()) if each is not None]


def test_every_frame_is_judged_once_and_in_order_after_the_next_one() -> None:
    doubt = FrameDoubt(THRESHOLD)
    assert doubt.close() is None
    assert doubt.add(result(HERE, 0), 0.0) is None
    again = doubt.add(result(HERE, 1), 0.1)
    assert again is not None
    assert (again.result.frame.index, again.time_s) == (0, 0.0)
    last = doubt.close()
    assert last is not None
    assert last.result.frame.index == 1
    assert doubt.close() is None


def test_a_missed_frame_is_in_more_doubt_than_any_other() -> None:
    frames = [HERE] * 20
    frames[7] = NOTHING
    frames[14] = boxes((100, 100), score=0.6)
    values = [each.doubt.value for each in judged(FrameDoubt(THRESHOLD), frames)]
    assert max(range(20), key=values.__getitem__) == 7
    assert values[14] > values[13]


def test_signs_combine_as_independent_causes() -> None:
    frames = [boxes((100, 100), (200, 100))] * 10
    frames[5] = boxes((100, 100), score=0.7)
    doubt = judged(FrameDoubt(THRESHOLD), frames)[5].doubt
    assert doubt.signs == pytest.approx({"threshold": 0.5, "broken_track": 0.9, "silence": 0.5})
    expected = 1 - (1 - 0.5 * 0.5) * (1 - 0.8 * 0.9) * (1 - 0.7 * 0.5)
    assert doubt.value == pytest.approx(expected)


def test_own_weights_replace_the_default_ones() -> None:
    frames = [HERE] * 3 + [NOTHING] + [HERE] * 3
    own = FrameDoubt(THRESHOLD, weights={"broken_track": 0.0, "silence": 0.0})
    assert judged(own, frames)[3].doubt.value == 0.0
    assert judged(FrameDoubt(THRESHOLD), frames)[3].doubt.value > 0.7
    assert set(DEFAULT_WEIGHTS) == set(SIGNS)


def test_pictures_without_times_are_judged_by_their_scores() -> None:
    frames = [HERE, NOTHING, boxes((100, 100), score=0.5)]
    found = judged(FrameDoubt(THRESHOLD), frames, timed=False)
    assert [set(each.doubt.signs) for each in found] == [{"threshold"}] * 3
    assert found[2].doubt.value > found[1].doubt.value == 0.0


class Look:
    """Second look that finds one more object, and counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, _: NDArray[np.uint8]) -> Detections:
        self.calls += 1
        return boxes((100, 100), (200, 100), score=0.7)


def test_a_second_look_finds_what_the_first_one_missed() -> None:
    frames = [HERE if index % 50 else NOTHING for index in range(200)]
    looked = [
        each
        for each in judged(FrameDoubt(THRESHOLD, second_look=Look()), frames)
        if each.result.frame.index in (50, 100, 150)
    ]
    assert [each.doubt.signs["scale"] > 0.5 for each in looked] == [True] * 3


def calls(found: Detections, *, unchanged: bool = False) -> int:
    """Number of second looks at a thousand pictures with the same detections."""
    look = Look()
    doubt = FrameDoubt(THRESHOLD, second_look=look)
    for index in range(1000):
        doubt.add(result(found, index, unchanged=unchanged), math.nan)
    return look.calls


def test_second_looks_are_few_however_much_is_in_doubt() -> None:
    assert 45 <= calls(boxes((100, 100), score=0.3)) <= 50
    assert 3 <= calls(HERE) <= 25, "some frames get one by chance"


def test_an_unchanged_frame_gets_no_second_look() -> None:
    assert calls(boxes((100, 100), score=0.3), unchanged=True) == 0


@pytest.mark.parametrize(
    ("found", "other", "expected"),
    [
        pytest.param(HERE, boxes((102, 99)), 0.0, id="the same object"),
        pytest.param(NOTHING, NOTHING, 0.0, id="nothing in both"),
        pytest.param(NOTHING, boxes((100, 100), score=0.7), 0.5, id="missing in one, half sure"),
        pytest.param(boxes((100, 100), score=1.0), NOTHING, 1.0, id="missing in the other, sure"),
        pytest.param(NOTHING, boxes((100, 100), score=0.4), 0.0, id="a box at the threshold"),
        pytest.param(
            boxes((100, 100), score=0.7), boxes((100, 100), score=0.7, class_id=1), 0.75, id="classes"
        ),
    ],
)
def test_looks_disagree_by_the_boxes_that_one_of_them_lacks(
    found: Detections, other: Detections, expected: float
) -> None:
    assert disagreement(found, other, THRESHOLD) == pytest.approx(expected)


def find_block(image: NDArray[np.uint8]) -> Detections:
    """Bounding box of what is bright."""
    x, y, width, height = cv2.boundingRect((image[..., 0] > 200).astype(np.uint8))
    box = np.array([[x, y, x + width, y + height]], np.float32)
    return Detections(box, np.ones(1, np.float32), np.zeros(1, np.int64))


def test_boxes_of_the_shrunk_image_are_in_pixels_of_the_whole_one() -> None:
    found = shrunk_look(find_block)(draw_block(10))
    assert found.xyxy[0] == pytest.approx(block_box(10), abs=1.5)


def test_boxes_wholly_in_the_padding_are_dropped() -> None:
    corner = Detections(np.array([[0, 0, 8, 8]], np.float32), np.ones(1, np.float32), np.zeros(1, np.int64))
    assert len(shrunk_look(lambda _: corner)(PLAIN)) == 0


def test_the_second_look_of_a_stream_finds_nothing_in_regions_to_ignore(
    block_model: Path, tmp_path: Path
) -> None:
    mask = tmp_path / "mask.png"
    picture = np.zeros((120, 160), np.uint8)
    picture[:, :80] = 255
    cv2.imwrite(str(mask), picture)
    detector = Detector(block_model, threads=1)
    with as_source([draw_block(0)]) as source:
        look = stream_look(open_stream(source, detector), detector)
        blind = stream_look(open_stream(source, detector, ignore=IgnoreMask(mask, detector.names)), detector)
    assert look(draw_block(0)).xyxy[0] == pytest.approx(block_box(0), abs=2)
    assert len(blind(draw_block(0))) == 0
    assert len(blind(draw_block(39))) == 1
