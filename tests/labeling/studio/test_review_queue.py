"""Doubts, the order in which they are asked about, and look-alikes on one screen."""

from __future__ import annotations

import numpy as np
import pytest

from edgeloop.labeling.dataset.device_doubts import DeviceBox, DeviceDoubts
from edgeloop.labeling.ledger import FrameResult, Label
from edgeloop.labeling.studio.review.doubts import Doubt, find_doubts
from edgeloop.labeling.studio.review.error_probability import estimate_errors
from edgeloop.labeling.studio.review.looks import GROUP, arrange_looks

NAMES = ["bolt", "nut"]
PLACE, OTHER = (10.0, 10.0, 50.0, 50.0), (100.0, 10.0, 140.0, 50.0)


def result(number: int, *boxes: tuple[float, float, float, float], score: float = 0.9) -> FrameResult:
    labels = tuple(Label(xyxy=box, class_id=0, score=score, prompt="detector", sam_score=0) for box in boxes)
    return FrameResult(file=f"{number}", width=200, height=100, labels=labels)


def doubts_of(*results: FrameResult) -> list[Doubt]:
    recording = [(own.file, number) for number, own in enumerate(results)]
    return find_doubts({own.file: own for own in results}, NAMES, [recording])


def doubt(probability: float, number: int = 0, name: str = "bolt", kind: str = "label") -> Doubt:
    return Doubt(kind, f"{number}", name, PLACE, probability)  # type: ignore[arg-type]


def test_an_object_that_is_gone_for_one_frame_may_be_missed() -> None:
    frames = [result(number, PLACE, OTHER) for number in range(8)]
    frames[4] = result(4, OTHER)
    (miss,) = (own for own in doubts_of(*frames) if own.kind == "miss")
    assert (miss.file, miss.xyxy) == ("4", PLACE)
    assert 0.2 < miss.object_probability < 0.6


def test_nothing_is_missed_where_objects_move() -> None:
    moving = [result(number, (20.0 * number, 10, 20.0 * number + 30, 40)) for number in range(8)]
    assert not [own for own in doubts_of(*moving) if own.kind == "miss"]


def test_of_two_labels_on_one_object_one_is_in_doubt() -> None:
    sure = Label(xyxy=PLACE, class_id=0, score=0.99, prompt="detector", sam_score=0)
    other = sure.model_copy(update={"class_id": 1, "score": 0.97})
    first, second = doubts_of(FrameResult(file="0", width=200, height=100, labels=(sure, other)))
    assert (first.name, second.name) == ("nut", "bolt")
    assert first.error_probability >= 0.5


def test_a_person_is_not_asked_about_their_own_boxes() -> None:
    drawn = result(0, PLACE, score=0.1).model_copy(update={"by_person": True})
    human = Label(xyxy=PLACE, class_id=0, score=1, prompt="human", sam_score=0)
    assert doubts_of(drawn, FrameResult(file="1", width=200, height=100, labels=(human,))) == []


def test_a_label_unlike_the_exemplars_is_more_doubtful() -> None:
    same, unlike = np.array([1.0, 0, 0]), np.array([0, 1.0, 0])
    doubts = [doubt(0.95, number) for number in range(30)]
    features = np.stack([same] * 29 + [unlike]).astype(np.float32)
    errors = estimate_errors(doubts, features, [doubt(1.0)], same[None].astype(np.float32))
    assert errors.argmax() == 29
    assert errors[29] > errors[0]


def test_look_alikes_share_a_look_up_to_a_limit() -> None:
    doubts = [doubt(0.5, number) for number in range(GROUP + 3)] + [doubt(0.5, 0, "nut")]
    features = np.tile(np.array([[1.0, 0]], np.float32), (len(doubts), 1))
    looks = arrange_looks(doubts, np.full(len(doubts), 0.5), features)
    assert sorted(len(look.doubts) for look in looks) == [1, 3, GROUP]
    assert sorted(place for look in looks for place in look.doubts) == list(range(len(doubts)))


@pytest.mark.parametrize("likely", [(0.9, 0.1), (0.6, 0.4)])
def test_the_more_probable_error_comes_first(likely: tuple[float, float]) -> None:
    doubts = [doubt(1 - own, number) for number, own in enumerate(reversed(likely))]
    features = np.eye(2, dtype=np.float32)
    looks = arrange_looks(doubts, np.array([*reversed(likely)]), features)
    assert [look.doubts for look in looks] == [(1,), (0,)]


def test_what_a_device_missed_comes_first_and_on_screens_of_its_own() -> None:
    sure, unsure = result(0, PLACE, score=0.99), result(1, PLACE, score=0.6)
    missed = DeviceBox(file="0", name="bolt", xyxy=PLACE, probability=0.99)
    alone = DeviceBox(file="1", name="nut", xyxy=OTHER, probability=0.2)
    device = DeviceDoubts(missed=(missed,), alone=(alone,))
    doubts = find_doubts({own.file: own for own in (sure, unsure)}, NAMES, [], device)
    assert [(own.file, own.kind, own.device) for own in doubts] == [
        ("0", "label", "missed"),
        ("1", "label", ""),
        ("1", "miss", "alone"),
    ]
    errors = np.array([own.error_probability for own in doubts])
    looks = arrange_looks(doubts, errors, np.ones((3, 1), np.float32))
    assert looks[0].doubts == (0,)
    assert len(looks) == 3
