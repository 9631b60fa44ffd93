"""A box that jumps in one frame is laid where its track says."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from edgeloop.labeling.ledger import Label
from edgeloop.labeling.tracks.link import Sighting, Track
from edgeloop.labeling.tracks.smooth_boxes import smooth_box

SIZE = (640, 480)
Box = tuple[float, float, float, float]


def seen(boxes: Mapping[int, Box], scores: Mapping[int, float] | None = None) -> list[Sighting]:
    """Sightings of one object, by the number of the frame."""
    track = Track()
    return [
        Sighting(
            frame,
            Label(
                xyxy=box,
                class_id=0,
                score=(scores or {}).get(frame, 0.8),
                prompt="similar",
                sam_score=0.8,
            ),
            track,
        )
        for frame, box in boxes.items()
    ]


def moving(frame: int) -> Box:
    """Nearer and larger from frame to frame."""
    return (100.0 + 7 * frame, 50.0 + 2 * frame, 160.0 + 9 * frame, 90.0 + 3 * frame)


@pytest.mark.parametrize("frame", [0, 4, 8])
def test_what_moves_evenly_stays_as_it_is(frame: int) -> None:
    around = seen({n: moving(n) for n in range(9) if abs(n - frame) <= 4})
    np.testing.assert_allclose(smooth_box(around, frame, SIZE), moving(frame), atol=1e-3)


def test_a_side_that_jumps_is_put_most_of_the_way_back_and_the_others_stay() -> None:
    boxes = {n: moving(n) for n in range(9)}
    x1, y1, x2, y2 = moving(4)
    boxes[4] = (x1, y1, x2 + 20, y2)
    box = smooth_box(seen(boxes), 4, SIZE)
    np.testing.assert_allclose(box[[0, 1, 3]], (x1, y1, y2), atol=1e-3)
    assert x2 < box[2] < x2 + 5


def test_who_is_surer_has_more_say() -> None:
    boxes: dict[int, Box] = {n: (100.0, 50.0, 150.0 if n % 2 else 170.0, 90.0) for n in range(9)}
    odd, even = (
        smooth_box(seen(boxes, {n: 0.9 if n % 2 == sure else 0.3 for n in range(9)}), 4, SIZE)[2]
        for sure in (1, 0)
    )
    assert 150 < odd < 158 < 162 < even < 170


def test_an_object_missing_in_a_frame_is_where_it_goes_by() -> None:
    around = seen({n: moving(n) for n in range(9) if n != 4})
    np.testing.assert_allclose(smooth_box(around, 4, SIZE), moving(4), atol=1e-3)


@pytest.mark.parametrize("known", [(4,), (3, 4), (4, 8)], ids=["alone", "with the one before", "far apart"])
def test_too_little_to_tell_leaves_a_box_as_it_is(known: tuple[int, ...]) -> None:
    boxes: dict[int, Box] = {3: (90, 40, 130, 70), 4: (100, 60, 170, 80), 8: (10, 10, 30, 40)}
    box = smooth_box(seen({n: boxes[n] for n in known}), 4, SIZE)
    np.testing.assert_allclose(box, boxes[4], atol=1e-3)


def test_the_frames_border_tells_nothing_of_where_an_object_ends() -> None:
    """It comes in from the left at 20 px a frame, 60 px long: cut by the border up to frame 3."""
    boxes: dict[int, Box] = {n: (max(0.0, 20.0 * n - 60), 50.0, 20.0 * n, 90.0) for n in range(1, 9)}
    assert smooth_box(seen(boxes), 3, SIZE)[0] == 0
    np.testing.assert_allclose(smooth_box(seen(boxes), 4, SIZE), boxes[4], atol=1e-3)


def test_a_box_stays_inside_the_frame_and_has_an_area() -> None:
    """Shrinking so suddenly that the lines of its sides would cross; and gone beyond the border."""
    boxes: dict[int, Box] = {n: (300.0, 50.0, 600.0 if n < 3 else 303.0, 90.0) for n in range(5)}
    assert smooth_box(seen(boxes), 4, SIZE).tolist() == list(boxes[4])
    leaving: dict[int, Box] = {n: (560.0 + 20 * n, 50.0, 600.0 + 20 * n, 90.0) for n in range(2)}
    assert smooth_box(seen(leaving), 3, SIZE).tolist() == [620, 50, 640, 90]
