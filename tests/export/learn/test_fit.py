from __future__ import annotations

import shutil
import signal
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from edgeloop.export.data.image_cache import ImageCache
from edgeloop.export.data.yolo_dataset import open_dataset
from edgeloop.export.learn import fit as fit_module
from edgeloop.export.learn.assign import Targets
from edgeloop.export.learn.augment import Augmentation, Canvas
from edgeloop.export.learn.detection_loss import Losses, detection_loss
from edgeloop.export.learn.fit import Task, fit
from edgeloop.export.learn.recipe import Recipe
from edgeloop.export.network.compact_detector import CompactDetector, Predictions
from edgeloop.export.trainer import TrainStep
from edgeloop.models.errors import DataError

_SIDE = 96


class _InterruptedError(Exception):
    pass


@pytest.fixture
def task(dataset: Path, tmp_path: Path) -> Task:
    data = open_dataset(dataset)
    recipe = Recipe(
        side=_SIDE,
        canvas=Canvas(_SIDE, 64, _SIDE),
        batch=4,
        freeze=7,
        steps=6,
        learning_rate=2e-3,
        warm_up=0.1,
        augmentation=Augmentation(),
    )
    train = ImageCache(data.train[:8], _SIDE, "Reading")
    return Task(
        train=train, val=None, names=data.names, recipe=recipe, seed=5, patience=None, seconds=None,
        folder=tmp_path,
    )  # fmt: skip


def _detector() -> CompactDetector:
    torch.manual_seed(0)
    return CompactDetector(2)


def _trained(task: Task, stop_after: int | None = None) -> Mapping[str, Tensor]:
    def on_step(step: TrainStep) -> None:
        if step.step == stop_after:
            raise _InterruptedError

    kept, _ = fit(_detector(), task, on_step)
    return kept.state_dict()


def _equal(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> bool:
    return all(torch.equal(first[key], second[key]) for key in first)


def test_the_same_seed_gives_the_same_detector(task: Task) -> None:
    first = _trained(task)
    assert _equal(first, _trained(task))
    assert not _equal(first, _trained(replace(task, seed=6)))


def test_a_resumed_training_ends_like_one_that_was_not_interrupted(
    task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = _trained(task)
    monkeypatch.setattr(fit_module, "_CHECKPOINT_S", 0.0)
    resumed = replace(task, folder=tmp_path / "resumed")
    resumed.folder.mkdir()
    with pytest.raises(_InterruptedError):
        _trained(resumed, stop_after=4)
    steps: list[int] = []
    kept, progress = fit(_detector(), resumed, lambda step: steps.append(step.step))
    assert steps[0] in (4, 5)  # the step whose callback failed was not saved
    assert _equal(expected, kept.state_dict())
    assert [epoch.number for epoch in progress.epochs] == [1, 2, 3]


def test_ctrl_c_loses_no_step(task: Task, tmp_path: Path) -> None:
    expected = _trained(task)
    resumed = replace(task, folder=tmp_path / "resumed")
    resumed.folder.mkdir()

    def interrupt(step: TrainStep) -> None:
        if step.step == 3:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        fit(_detector(), resumed, interrupt)
    steps: list[int] = []
    kept, _ = fit(_detector(), resumed, lambda step: steps.append(step.step))
    assert steps == [4, 5, 6]
    assert _equal(expected, kept.state_dict())


def test_frozen_stages_keep_their_weights_and_statistics(task: Task) -> None:
    start, end = _detector().state_dict(), _trained(task)
    changed = {key for key in start if not torch.equal(start[key], end[key])}
    assert not any(key.startswith("backbone") for key in changed)
    assert any(key.startswith("head") for key in changed)


def test_stages_that_are_not_frozen_learn(task: Task) -> None:
    start, end = _detector().state_dict(), _trained(replace(task, recipe=replace(task.recipe, freeze=6)))
    changed = {key for key in start if not torch.equal(start[key], end[key])}
    assert any(key.startswith("backbone.stages.6") for key in changed)
    assert not any(key.startswith("backbone.stages.5") for key in changed)


def test_training_stops_when_patience_is_exhausted(
    task: Task, dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter((0.1, 0.3, 0.2, 0.2, 0.9))
    monkeypatch.setattr(fit_module, "validate", lambda *_: dict.fromkeys(("map50", "map50_95"), next(scores)))
    val = ImageCache(open_dataset(dataset).val[:2], _SIDE, "Reading")
    recipe = replace(task.recipe, steps=10)
    _, progress = fit(_detector(), replace(task, val=val, patience=2, recipe=recipe), lambda _: None)
    assert [epoch.map50_95 for epoch in progress.epochs] == [0.1, 0.3, 0.2, 0.2]
    assert progress.best_epoch == 2
    assert progress.best_scores == {"map50": 0.3, "map50_95": 0.3}


def test_a_time_limit_ends_the_training(task: Task) -> None:
    limited = replace(task, recipe=replace(task.recipe, steps=None), seconds=2.0)
    shares: list[float] = []
    fit(_detector(), limited, lambda step: shares.append(step.progress))
    assert shares[-1] == 1.0
    assert shares == sorted(shares)


def test_a_step_reports_loss_and_time_left(task: Task) -> None:
    steps: list[TrainStep] = []
    fit(_detector(), task, steps.append)
    assert [step.step for step in steps] == [1, 2, 3, 4, 5, 6]
    assert [step.epoch for step in steps] == [1, 1, 2, 2, 3, 3]
    assert set(steps[0].loss) == {"box", "score", "edge"}
    assert steps[-1].seconds_left == 0
    assert steps[0].seconds_left > 0


def test_a_time_limit_that_passed_before_a_validation_still_ends_with_one(
    task: Task, dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit_module, "_CHECKPOINT_S", 0.0)
    val = ImageCache(open_dataset(dataset).val[:2], _SIDE, "Reading")
    limited = replace(task, val=val, recipe=replace(task.recipe, steps=None), seconds=600.0)
    with pytest.raises(_InterruptedError):
        _trained(limited, stop_after=2)
    _, progress = fit(_detector(), replace(limited, seconds=0.01), lambda _: None)
    assert progress.step == 2
    assert progress.best_scores
    assert [epoch.map50 is None for epoch in progress.epochs] == [False]


def test_no_thread_is_left_of_a_training_that_fails(task: Task) -> None:
    with pytest.raises(_InterruptedError) as caught:  # it holds the frames of the training
        _trained(task, stop_after=1)
    assert caught.tb is not None
    assert not [each for each in threading.enumerate() if each.name.startswith("edgeloop-batches")]


def test_a_loss_that_is_no_number_ends_the_training(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def diverging(
        predictions: Predictions, targets: Targets, shapes: list[tuple[int, int]], labeled: None, masks: None
    ) -> Losses:
        calls.append(1)
        losses = detection_loss(predictions, targets, shapes, labeled, masks)
        return losses if len(calls) < 2 else losses._replace(box=losses.box / 0)

    monkeypatch.setattr("edgeloop.export.learn.detection_loss.detection_loss", diverging)
    with pytest.raises(DataError, match="step 2: the loss or its gradient is no longer a number; train with"):
        fit(_detector(), task, lambda _: None)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 truncated", b"\x80\x02}q\x00."])
def test_a_checkpoint_that_cannot_be_read_is_named(task: Task, content: bytes) -> None:
    (task.folder / "checkpoint.pt").write_bytes(content)
    with pytest.raises(DataError, match="its checkpoint cannot be read; remove it to start anew"):
        fit(_detector(), task, lambda _: None)


def test_an_image_that_vanishes_is_named(task: Task, dataset: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(dataset, tmp_path / "copy")
    images = ImageCache(open_dataset(copy).train[:8], _SIDE, "Reading", limit_bytes=0)

    def on_step(_step: TrainStep) -> None:
        shutil.rmtree(copy / "images", ignore_errors=True)

    with pytest.raises(DataError, match=r"\.jpg: not a readable image"):
        fit(_detector(), replace(task, train=images), on_step)
