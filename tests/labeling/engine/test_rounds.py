"""Rounds of training while frames are drawn: which member sees what, and what is kept between rounds."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeloop.export.learn.augment import Sample
from edgeloop.export.network.compact_detector import CompactDetector
from edgeloop.labeling.engine import rounds
from edgeloop.labeling.engine.rounds import Interrupted, Learner, Round, Steps
from edgeloop.labeling.inputs.exemplars import ExemplarFrame, Exemplars
from edgeloop.labeling.sam import Segmenter, load

Draw = Callable[..., Exemplars]
TINY = Steps(first=2, again=1, full=4)


@pytest.fixture(scope="module")
def nano() -> Segmenter:
    return load("nano", offline=True)


@pytest.fixture
def learner(nano: Segmenter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Learner:
    monkeypatch.setattr(rounds, "_PASTED", 2)
    return Learner(tmp_path / "rounds", nano, steps=TINY)


@pytest.fixture
def draw(tmp_path: Path) -> Draw:
    """Draws so many squares on each frame."""

    def drawn(*objects: int, names: tuple[str, ...] = ("square",), shift: int = 0) -> Exemplars:
        frames = []
        for number, count in enumerate(objects):
            image = np.full((96, 128, 3), 120 + number, np.uint8)
            boxes = np.array([[8 + 30 * k, 20 + shift, 28 + 30 * k, 40] for k in range(count)], np.float32)
            for left, top, right, bottom in boxes.astype(int):
                image[top:bottom, left:right] = (0, 0, 220)
            path = tmp_path / f"{number}.png"
            cv2.imwrite(str(path), image)
            frames.append(ExemplarFrame(path, boxes.reshape(-1, 4), np.arange(count) % len(names)))
        return Exemplars(names, tuple(frames))

    return drawn


def train(learner: Learner) -> Round:
    plan = learner.next_round()
    assert plan is not None
    learner.train(plan, lambda _: True)
    return plan


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> dict[int, set[int]]:
    """Frames that each member saw, told by their gray. Nothing is trained, which takes long."""
    seen: dict[int, set[int]] = {}

    def watch(
        detector: CompactDetector, frames: list[Sample], *_: object, seed: tuple[int, int], **__: object
    ) -> CompactDetector:
        seen.setdefault(seed[1], set()).update(int(frame.image[0, 0, 0]) - 120 for frame in frames)
        return detector.eval()

    monkeypatch.setattr(rounds, "train_member", watch)
    return seen


def test_one_frame_gives_proposals_without_an_estimate(learner: Learner, draw: Draw) -> None:
    learner.take(draw(2))
    assert list(train(learner).steps.values()) == [TINY.first]
    engine = learner.engine(confidence=0.5)
    assert engine is not None
    assert engine.promise is None


def test_a_member_never_sees_its_fold_in_any_round(
    learner: Learner, draw: Draw, seen: dict[int, set[int]]
) -> None:
    for drawn in (1, 2, 3, 7):
        learner.take(draw(*[2] * drawn))
        train(learner)
    while learner.next_round() is not None:
        train(learner)
    assert seen == {fold: {frame for frame in range(7) if frame % 5 != fold} for fold in range(5)}


@pytest.mark.usefixtures("seen")
def test_rounds_go_from_two_new_members_to_five_full_ones(learner: Learner, draw: Draw) -> None:
    learner.take(draw(*[1] * 5))
    plans = []
    while learner.next_round() is not None:
        plans.append(train(learner))
    assert [(dict(plan.steps), plan.quick) for plan in plans] == [
        ({0: 2, 1: 2}, True),
        ({2: 2, 3: 2}, True),
        ({4: 2}, True),
        ({0: 2, 1: 2}, False),
        ({2: 2, 3: 2}, False),
        ({4: 2}, False),
    ]


@pytest.mark.usefixtures("seen")
def test_a_new_frame_is_learned_by_members_that_go_on(learner: Learner, draw: Draw) -> None:
    learner.take(draw(1, 1, 1))
    train(learner)
    learner.take(draw(1, 1, 1, 1))
    assert learner.next_round() == Round({0: TINY.again, 1: TINY.again}, quick=True)


@pytest.mark.usefixtures("seen")
def test_a_corrected_box_counts_as_a_change(learner: Learner, draw: Draw) -> None:
    learner.take(draw(1, 1))
    while learner.next_round() is not None:
        train(learner)
    learner.take(draw(1, 1))
    assert learner.next_round() is None
    learner.take(draw(1, 1, shift=4))
    plan = learner.next_round()
    assert plan is not None
    assert plan.quick


@pytest.mark.usefixtures("seen")
def test_a_new_class_is_added_to_the_members(learner: Learner, draw: Draw) -> None:
    learner.take(draw(2, 2))
    train(learner)
    learner.take(draw(2, 2, names=("disc", "square")))
    assert learner.engine(confidence=0.5) is None  # nobody knows it yet
    train(learner)
    plan = learner.next_round()
    assert plan is not None
    assert not plan.quick  # both know it


def test_a_round_can_be_held_before_any_step(learner: Learner, draw: Draw) -> None:
    learner.take(draw(1))
    plan = learner.next_round()
    assert plan is not None
    running, waiting = threading.Event(), threading.Event()

    def hold() -> None:
        waiting.set()
        running.wait()

    shares: list[float] = []

    def watch(share: float) -> bool:
        shares.append(share)
        if waiting.is_set() and len(shares) > 3:
            running.set()
        return True

    learner.train(plan, watch, hold)
    assert set(shares[:3]) == {0.0}


def test_an_interrupted_round_leaves_the_members_as_they_were(learner: Learner, draw: Draw) -> None:
    learner.take(draw(1, 1))
    plan = learner.next_round()
    assert plan is not None
    with pytest.raises(Interrupted):
        learner.train(plan, lambda _: False)
    assert learner.next_round() == plan
    assert learner.engine(confidence=0.5) is None


@pytest.mark.usefixtures("seen")
def test_another_process_goes_on_from_the_folder(
    learner: Learner, draw: Draw, nano: Segmenter, tmp_path: Path
) -> None:
    learner.take(draw(1, 1, 1))
    train(learner)
    again = Learner(tmp_path / "rounds", nano, steps=TINY)
    again.take(draw(1, 1, 1))
    assert again.round == 1
    assert again.next_round() == Round({2: TINY.first}, quick=True)
    again.take(draw(1, 1, 1, shift=4))
    assert again.next_round() == Round({0: TINY.again, 1: TINY.again}, quick=True)


@pytest.mark.usefixtures("seen")
@pytest.mark.parametrize("damage", ["rounds.json", "member0.safetensors"])
def test_a_damaged_folder_is_begun_anew(
    learner: Learner, draw: Draw, nano: Segmenter, tmp_path: Path, damage: str
) -> None:
    learner.take(draw(1, 1))
    train(learner)
    (tmp_path / "rounds" / damage).write_bytes(b"{")
    assert Learner(tmp_path / "rounds", nano, steps=TINY).round == 0
