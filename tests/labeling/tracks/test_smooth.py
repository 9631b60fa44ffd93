"""Neighboring frames smooth_labels what one frame leaves open."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from edgeloop.edge.frames.folder import FrameEntry
from edgeloop.labeling.ledger import FrameResult, Label
from edgeloop.labeling.tracks.persistence import Persistence
from edgeloop.labeling.tracks.smooth import fit_persistence, smooth_labels

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


def entry(number: int, source: str = "camera", time_s: float | None = None) -> FrameEntry:
    return FrameEntry(file=f"{number}.jpg", source=source, index=number, time_s=time_s)


def settled(frames: Iterable[FrameResult], *, apart_s: float | None = None) -> list[FrameResult]:
    found = [
        (entry(n, time_s=None if apart_s is None else n * apart_s), result) for n, result in enumerate(frames)
    ]
    return list(smooth_labels(found, fit_persistence(found), confidence=CONFIDENCE))


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


def test_a_box_that_jumps_is_steadied_and_its_mask_stays() -> None:
    frames = [frame(n, [label(5.0 * n + (6 if n == 4 else 0))]) for n in range(9)]
    (found,) = settled(frames)[4].labels
    assert 20.0 < found.xyxy[0] < 22.0
    assert found.counts == "mask"


def test_a_hole_of_one_frame_is_filled_between_its_neighbors() -> None:
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


def test_a_doubtful_track_is_sure_where_mistakes_are_short_lived() -> None:
    """One object is seen well and one badly, all the time; mistakes come and go elsewhere."""
    frames = [
        frame(
            n,
            [label(200)],
            [label(100, 0.36, y=100), label(97 * n % 600, 0.25, y=300), label(89 * n % 600, 0.25, y=400)],
        )
        for n in range(100)
    ]
    results = settled(frames)
    assert all(label(100, y=100).xyxy in boxes(result) for result in results)
    assert not any(box[1] >= 300 for result in results for box in boxes(result))


def test_what_is_hopeless_is_not_worth_a_look() -> None:
    (result,) = settled([frame(0, [label(50)], [label(200, 0.25), label(400, 0.1)])])
    assert [found.score for found in result.unsure] == [0.25]


def test_frames_that_show_other_objects_stay_as_they_are() -> None:
    """One of three happens to lie where another one lay, twice: no hole is filled, nothing is flicker."""
    frames = [
        frame(n, [label(60.0 * n), label(590.0 - 60 * n, y=300), *([] if n == 4 else [label(300, y=150)])])
        for n in range(9)
    ]
    assert settled(frames) == frames


def test_frames_far_apart_in_time_stay_as_they_are() -> None:
    frames = [frame(n, [] if n == 4 else [label(6.0 * n)]) for n in range(9)]
    assert settled(frames, apart_s=1.0) == frames
    assert settled(frames, apart_s=0.04) != frames


def test_a_frame_that_a_person_drew_on_stays_and_has_its_say() -> None:
    drawn = frame(4, [label(20.0, 1.0, class_id=2, prompt="human")]).model_copy(update={"by_person": True})
    frames = [
        drawn if n == 4 else frame(n, [label(5.0 * n, 0.45, class_id=1 if n == 3 else 2)]) for n in range(9)
    ]
    results = settled(frames)
    assert results[4] == drawn
    assert results[3].labels[0].class_id == 2
    assert results[3].labels[0].score > 0.45
    emptied = drawn.model_copy(update={"labels": ()})  # "there is nothing", said a person
    assert settled([emptied if n == 4 else result for n, result in enumerate(frames)])[4] == emptied


def test_tracks_end_with_their_source() -> None:
    frames = [frame(n, [label(50)]) for n in range(3)] + [frame(n, [], [label(50, 0.3)]) for n in range(3, 6)]
    entries = [entry(n, source="a" if n < 3 else "b") for n in range(6)]
    found = list(zip(entries, frames, strict=True))
    assert list(smooth_labels(found, fit_persistence(found), confidence=CONFIDENCE)) == frames


def test_frames_that_could_not_be_read_pass_through() -> None:
    bad = FrameResult(file="4.jpg", problem="cannot be read")
    frames = [bad if n == 4 else frame(n, [label(5.0 * n)]) for n in range(9)]
    assert settled(frames) == frames


def test_memory_does_not_grow_with_the_number_of_frames() -> None:
    taken = 0

    def many() -> Iterable[tuple[FrameEntry, FrameResult]]:
        nonlocal taken
        for n in range(300):
            taken += 1
            yield entry(n), frame(n, [label(50)])

    given = 0
    for _ in smooth_labels(many(), Persistence(), confidence=CONFIDENCE):
        given += 1
        assert taken - given <= 8
    assert given == 300
