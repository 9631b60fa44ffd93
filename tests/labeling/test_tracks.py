"""Neighbouring frames settle what one frame leaves open."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from labeling.ledger import FrameResult, Label
from labeling.tracks import settle

CONFIDENCE = 0.4
Box = tuple[float, float, float, float]


def label(x: float, score: float = 0.9, class_id: int = 0, prompt: str = "similar", y: float = 10.0) -> Label:
    return Label(
        xyxy=(x, y, x + 40, y + 30),
        class_id=class_id,
        score=score,
        counts="mask",
        prompt=prompt,
        sam_score=0.8,
    )


def frame(number: int, labels: Sequence[Label] = (), unsure: Sequence[Label] = ()) -> FrameResult:
    return FrameResult(
        file=f"{number}.jpg", width=640, height=480, labels=tuple(labels), unsure=tuple(unsure)
    )


def settled(frames: Iterable[FrameResult], source: str = "camera") -> list[FrameResult]:
    return list(settle(((source, result) for result in frames), confidence=CONFIDENCE))


def boxes(result: FrameResult) -> list[Box]:
    return [found.xyxy for found in result.labels]


def test_frames_come_back_in_order_and_whole() -> None:
    frames = [frame(n, [label(5.0 * n)]) for n in range(40)]
    assert settled(frames) == frames


def test_what_is_unsure_alone_is_sure_along_its_track() -> None:
    frames = [
        frame(n, [], [label(5.0 * n, 0.3)]) if n == 5 else frame(n, [label(5.0 * n, 0.8)]) for n in range(11)
    ]
    result = settled(frames)[5]
    assert boxes(result) == [label(25.0).xyxy]
    assert not result.unsure


def test_what_is_sure_once_is_unsure_along_a_doubtful_track() -> None:
    frames = [
        frame(n, [label(5.0 * n, 0.5)]) if n == 5 else frame(n, [], [label(5.0 * n, 0.2)]) for n in range(11)
    ]
    result = settled(frames)[5]
    assert not result.labels
    assert len(result.unsure) == 1


def test_a_track_has_one_class() -> None:
    frames = [frame(n, [label(5.0 * n, class_id=int(n == 4))]) for n in range(9)]
    assert {found.class_id for result in settled(frames) for found in result.labels} == {0}


def test_a_hole_of_one_frame_is_filled_between_its_neighbours() -> None:
    frames = [frame(n, [] if n == 4 else [label(6.0 * n)]) for n in range(9)]
    (filled,) = settled(frames)[4].labels
    assert filled.prompt == "linked"
    assert filled.xyxy == label(24.0).xyxy
    assert filled.counts is None


def test_a_hole_of_two_frames_stays() -> None:
    frames = [frame(n, [] if n in (4, 5) else [label(6.0 * n)]) for n in range(9)]
    assert not settled(frames)[4].labels
    assert not settled(frames)[5].labels


def test_a_hole_is_not_filled_over_another_label() -> None:
    frames = [
        frame(n, [label(100, y=12.0, class_id=1)]) if n == 4 else frame(n, [label(100)]) for n in range(9)
    ]
    assert len(settled(frames)[4].labels) == 1


def test_flicker_among_steady_labels_goes() -> None:
    frames = [frame(n, [label(5.0 * n), *([label(500)] if n == 4 else [])]) for n in range(9)]
    result = settled(frames)[4]
    assert boxes(result) == [label(20.0).xyxy]
    assert [found.xyxy for found in result.unsure] == [label(500).xyxy]


def test_frames_far_apart_in_time_stay_as_they_are() -> None:
    """Nothing links, so nothing is known about flicker."""
    frames = [frame(n, [label(60.0 * n), label(620.0 - 60 * n, y=300)]) for n in range(9)]
    assert settled(frames) == frames


def test_a_persons_boxes_stay_and_have_their_say() -> None:
    drawn = label(20.0, 1.0, class_id=2, prompt="human")
    frames = [
        frame(4, [drawn]) if n == 4 else frame(n, [], [label(5.0 * n, 0.3, class_id=2)]) for n in range(9)
    ]
    results = settled(frames)
    assert results[4] == frames[4]
    assert not results[0].labels  # one box among nine is not enough for frames that doubt it
    frames[5] = frame(5, [label(300.0)])
    assert settled(frames)[4].labels == (drawn,)


def test_tracks_end_with_their_source() -> None:
    frames = [frame(n, [label(50)]) for n in range(3)] + [frame(n, [], [label(50, 0.3)]) for n in range(3, 6)]
    sources = ["a"] * 3 + ["b"] * 3
    results = list(settle(zip(sources, frames, strict=True), confidence=CONFIDENCE))
    assert results == frames


def test_frames_that_could_not_be_read_pass_through() -> None:
    bad = FrameResult(file="4.jpg", problem="cannot be read")
    frames = [bad if n == 4 else frame(n, [label(5.0 * n)]) for n in range(9)]
    assert settled(frames) == frames


def test_memory_does_not_grow_with_the_number_of_frames() -> None:
    taken = 0

    def many() -> Iterable[tuple[str, FrameResult]]:
        nonlocal taken
        for n in range(300):
            taken += 1
            yield "camera", frame(n, [label(50)])

    given = 0
    for _ in settle(many(), confidence=CONFIDENCE):
        given += 1
        assert taken - given <= 8
    assert given == 300
