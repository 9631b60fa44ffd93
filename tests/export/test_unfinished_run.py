"""A training that is interrupted, and what the same command finds when it is started again."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgeloop.export.data.yolo_dataset import Dataset
from edgeloop.export.network.detector_weights import write_detector
from edgeloop.export.train.run_record import read_record
from edgeloop.export.train.training import train_detector
from edgeloop.export.train_options import TrainOptions
from edgeloop.export.trainer import Epoch, OnStep, Trained, TrainStep
from edgeloop.models.errors import DataError
from tests.calls import Outcome
from tests.export.untrained import untrained_detector

OPTIONS = TrainOptions(epochs=1)


class Interruptible:
    """A trainer of ten steps that counts them in its checkpoint, and can be interrupted after some."""

    def __init__(self) -> None:
        self.stop_after: int | None = None
        self.error: BaseException = KeyboardInterrupt()
        self.began_at: list[int] = []

    def __call__(self, data: Dataset, folder: Path, options: TrainOptions, on_step: OnStep) -> Trained:
        checkpoint = folder / "checkpoint"
        done = int(checkpoint.read_text()) if checkpoint.exists() else 0
        self.began_at.append(done)
        for step in range(done, 10):
            if step == self.stop_after:
                raise self.error
            checkpoint.write_text(str(step + 1))
            on_step(TrainStep(step + 1, 1, (step + 1) / 10, 1.0, 1.0, {"score": 0.5}, None))
        write_detector(untrained_detector(data.names), data.names, folder / "best.safetensors")
        epochs = (Epoch(number=1, seconds=3600.0, loss={"score": 0.5}),)
        return Trained("none", epochs, None, None, 9.0, options.imgsz or 96, 7, {"torch": "2"})


@pytest.fixture
def trainer(monkeypatch: pytest.MonkeyPatch) -> Interruptible:
    made = Interruptible()
    monkeypatch.setattr("edgeloop.export.train.train_run._trainer", lambda _options: made)
    return made


@pytest.fixture
def interrupted(trainer: Interruptible, dataset: Path, tmp_path: Path) -> Path:
    """A run whose training was interrupted after four steps."""
    trainer.stop_after = 4
    with pytest.raises(KeyboardInterrupt):
        train_detector(dataset, tmp_path / "run", OPTIONS)
    trainer.stop_after = None
    assert [path.name for path in tmp_path.iterdir()] == [".run.unfinished"]
    return tmp_path / "run"


def test_the_same_command_continues(
    interrupted: Path, trainer: Interruptible, dataset: Path, caplog: pytest.LogCaptureFixture
) -> None:
    steps: list[TrainStep] = []
    with caplog.at_level(logging.WARNING):
        record = train_detector(dataset, interrupted, replace(OPTIONS, device="cpu"), steps.append)
    assert trainer.began_at == [0, 4]
    assert [step.step for step in steps] == [5, 6, 7, 8, 9, 10]
    assert caplog.messages == [f"{interrupted}: continues an interrupted training"]
    assert [path.name for path in interrupted.parent.iterdir()] == ["run"]
    assert sorted(path.name for path in interrupted.iterdir()) == [
        "best.safetensors", "curves.png", "run.json",
    ]  # fmt: skip
    assert record == read_record(interrupted)
    assert record.trainer == "edgeloop"
    assert (record.model, record.imgsz, record.freeze, record.seconds) == ("edgeloop-lite0", 96, 7, 3600.0)
    assert set(record.versions) == {"edgeloop", "torch"}


@pytest.mark.parametrize(
    ("change", "why"),
    [({"seed": 1}, "seed"), ({"seed": 1, "batch": 4}, "batch, seed"), ({}, "dataset"), ({}, "its settings")],
)
def test_other_settings_start_anew(
    change: dict[str, Any],
    why: str,
    interrupted: Path,
    trainer: Interruptible,
    dataset: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if why == "dataset":
        dataset = shutil.copytree(dataset, tmp_path / "data")
        (dataset / "labels/train/001.txt").write_text("")
    if why == "its settings":
        (tmp_path / ".run.unfinished/settings.json").write_text("{")
    with caplog.at_level(logging.WARNING):
        train_detector(dataset, interrupted, replace(OPTIONS, **change))
    assert trainer.began_at == [0, 0]
    assert caplog.messages == [f"{interrupted}: starts anew, because {why} changed"]


def test_nothing_is_kept_of_a_training_that_fails_at_once(
    trainer: Interruptible, dataset: Path, tmp_path: Path
) -> None:
    trainer.stop_after, trainer.error = 0, DataError("x")
    with pytest.raises(DataError):
        train_detector(dataset, tmp_path / "run", OPTIONS)
    assert list(tmp_path.iterdir()) == []


def test_two_trainings_never_share_a_run(trainer: Interruptible, dataset: Path, tmp_path: Path) -> None:
    refused: list[str] = []

    def train_again(_step: TrainStep) -> None:
        with pytest.raises(DataError) as caught:
            train_detector(dataset, tmp_path / "run", OPTIONS)
        refused.append(str(caught.value))

    train_detector(dataset, tmp_path / "run", OPTIONS, train_again)
    assert set(refused) == {f"{tmp_path / 'run'}: another training of this run is going on; end it first"}
    assert trainer.began_at == [0]


def test_a_dataset_may_lack_a_validation_part(
    trainer: Interruptible, edgeloop: Callable[..., Outcome], dataset: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(dataset, tmp_path / "data")
    shutil.rmtree(copy / "images/val")
    (copy / "images/val").mkdir()
    done = edgeloop("train", copy, "-o", tmp_path / "run")
    assert done.code == 0, done.err
    assert done.out == f"{tmp_path / 'run'}: no validation part; 1 epochs of 32 images in 3600 s\n"
    assert trainer.began_at == [0]
    assert read_record(tmp_path / "run").map50 is None
