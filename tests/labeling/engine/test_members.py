"""Training of the members: which frames each sees, and what is kept of an interrupted job."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgeloop.labeling.engine import members
from edgeloop.labeling.engine.engine import learn_engine
from edgeloop.labeling.engine.members import held_out_by, train_members
from edgeloop.labeling.inputs.exemplars import ExemplarFrame, Exemplars
from edgeloop.labeling.sam import Segmenter, load
from edgeloop.labeling.step_progress import no_progress
from edgeloop.models.errors import UsageError

Advance = Callable[[int], None]


@pytest.fixture(scope="module")
def nano() -> Segmenter:
    return load("nano", offline=True)


@pytest.fixture(autouse=True)
def three_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(members, "_MAX_STEPS", 3)


def frames(folder: Path, objects: list[int]) -> Exemplars:
    """One frame for each number of objects, red squares on gray."""
    drawn = []
    for number, count in enumerate(objects):
        image = np.full((96, 128, 3), 120, np.uint8)
        boxes = np.array([[8 + 30 * k, 20, 28 + 30 * k, 40] for k in range(count)], np.float32)
        for left, top, right, bottom in boxes.astype(int):
            image[top:bottom, left:right] = (0, 0, 220)
        path = folder / f"{number}.png"
        cv2.imwrite(str(path), image)
        drawn.append(ExemplarFrame(path, boxes.reshape(-1, 4), np.zeros(count, np.int64)))
    return Exemplars(("square",), tuple(drawn))


def trained(exemplars: Exemplars, nano: Segmenter, folder: Path, seed: int = 0) -> list[NDArray[np.float32]]:
    found, _ = train_members(
        exemplars, nano, folder, weights=None, device="cpu", seed=seed, progress=no_progress
    )
    return [
        np.concatenate([value.numpy().ravel() for value in each.head.state_dict().values()]) for each in found
    ]


@pytest.mark.parametrize("count", [1, 3, 12], ids=["one frame", "few", "more frames than members"])
def test_each_frame_is_left_out_by_one_member(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(members, "MEMBERS", 5)
    holders = held_out_by(count)
    assert len(holders) == count
    assert sorted(set(holders)) == list(range(min(5, count)))


@pytest.mark.parametrize("objects", [[2], [2, 1], [3, 0, 1]], ids=["one frame", "two", "one without objects"])
def test_finished_members_are_not_trained_again(nano: Segmenter, tmp_path: Path, objects: list[int]) -> None:
    exemplars = frames(tmp_path, objects)
    first = trained(exemplars, nano, tmp_path / "engine")
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("member*.safetensors")}
    assert len(times) == len(first) == min(members.MEMBERS, len(objects))
    again = trained(exemplars, nano, tmp_path / "engine")
    assert {path: path.stat().st_mtime_ns for path in times} == times
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)


def test_seed_alone_decides(nano: Segmenter, tmp_path: Path) -> None:
    exemplars = frames(tmp_path, [2, 1])
    one, same, other = (
        trained(exemplars, nano, tmp_path / f"engine{number}", seed) for number, seed in enumerate((1, 1, 2))
    )
    for own, twin in zip(one, same, strict=True):
        np.testing.assert_array_equal(own, twin)
    assert not np.array_equal(one[0], other[0])


def test_engine_of_one_frame_promises_nothing(nano: Segmenter, tmp_path: Path) -> None:
    exemplars = frames(tmp_path, [2])
    engine = learn_engine(
        exemplars, nano, tmp_path / "engine", confidence=0.5, weights=None, device="cpu", seed=0,
        progress=no_progress,
    )  # fmt: skip
    assert engine.promise is None
    found = engine.open("cpu").detect(exemplars.frames[0].image())
    assert ((found.confidence >= 0) & (found.confidence <= 1)).all()


def test_interruption_stops_all_trainings_at_once(
    nano: Segmenter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(members, "_MAX_STEPS", 150)
    exemplars = frames(tmp_path, [2, 1])
    steps = 0

    @contextmanager
    def interrupted(_total: int | None, _label: str, /, *, in_bytes: bool = False) -> Iterator[Advance]:
        del in_bytes

        def advance(count: int) -> None:
            nonlocal steps
            steps += count
            if steps == 4:
                raise KeyboardInterrupt

        yield advance

    with pytest.raises(KeyboardInterrupt):
        train_members(
            exemplars, nano, tmp_path / "engine", weights=None, device="cpu", seed=0, progress=interrupted
        )
    assert steps < 20
    assert not list((tmp_path / "engine").glob("*.safetensors"))


def test_random_weights_are_refused(nano: Segmenter, tmp_path: Path) -> None:
    """Members share one backbone, which must have been trained."""
    with pytest.raises(UsageError, match="share a trained backbone"):
        train_members(
            frames(tmp_path, [1]), nano, tmp_path, weights="none", device="cpu", seed=0, progress=no_progress
        )
