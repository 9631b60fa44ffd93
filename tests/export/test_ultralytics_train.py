"""`--trainer ultralytics`: the same run folder, trained by ultralytics."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from ultralytics import YOLO

from edgeloop.export.train.run_record import RunRecord, read_record
from edgeloop.export.train.training import train_detector
from edgeloop.export.train_options import TrainOptions
from edgeloop.export.trainer import TrainStep
from edgeloop.export.ultralytics.build_detector import load_detector
from edgeloop.models.errors import DataError, UsageError

OPTIONS = TrainOptions(trainer="ultralytics", activation="relu", epochs=1, imgsz=64, batch=4)


@pytest.fixture(scope="module")
def steps() -> list[TrainStep]:
    """Steps that were reported."""
    return []


@pytest.fixture(scope="module")
def trained(
    _slow: None, dataset: Path, steps: list[TrainStep], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("ultralytics") / "run"
    train_detector(dataset, folder, OPTIONS, steps.append)
    return folder


def test_a_run_is_three_files(trained: Path) -> None:
    assert sorted(path.name for path in trained.iterdir()) == ["best.pt", "curves.png", "run.json"]
    assert [path.name for path in trained.parent.iterdir()] == ["run"]


def test_the_record_says_what_was_trained(trained: Path) -> None:
    record = read_record(trained)
    assert (record.trainer, record.model, record.activation) == ("ultralytics", "yolo26n", "relu")
    assert (record.imgsz, record.freeze, record.weights) == (64, 0, "none")
    assert record.map50 is not None
    assert set(record.versions) == {"edgeloop", "torch", "ultralytics"}
    assert record.license.startswith("AGPL-3.0")


def test_every_step_is_reported(trained: Path, steps: list[TrainStep]) -> None:
    assert trained.is_dir()
    assert [step.step for step in steps] == list(range(1, 9))
    assert [step.progress for step in steps] == [number / 8 for number in range(1, 9)]
    assert {step.epoch for step in steps} == {1}
    assert set(steps[0].loss) >= {"box_loss", "cls_loss"}
    assert steps[-1].seconds_left == 0


def test_ultralytics_opens_the_checkpoint(trained: Path, dataset: Path) -> None:
    (result,) = YOLO(trained / "best.pt").predict(dataset / "images/val/002.jpg", imgsz=64, verbose=False)
    assert result.names == {0: "disk", 1: "bar"}


def test_the_activation_is_kept(trained: Path) -> None:
    kinds = {type(module) for module in load_detector(trained / "best.pt").modules()}
    assert torch.nn.ReLU in kinds
    assert torch.nn.SiLU not in kinds


def test_goes_on_from_a_checkpoint(trained: Path, dataset: Path, tmp_path: Path) -> None:
    model = str(trained / "best.pt")
    record = train_detector(dataset, tmp_path / "run", replace(OPTIONS, model=model, activation=None))
    assert (record.model, record.weights) == (model, model)


def test_says_that_it_needs_a_validation_part(dataset: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(dataset, tmp_path / "copy")
    for path in copy.glob("images/val/*"):
        path.unlink()
    with pytest.raises(
        DataError, match=r"data\.yaml: no images under val; ultralytics needs a validation part"
    ):
        train_detector(copy, tmp_path / "run", OPTIONS)
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]


def test_takes_no_start_weights_of_ours(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--weights imagenet: expected none or a path"):
        train_detector(dataset, tmp_path / "run", replace(OPTIONS, weights="imagenet"))


def test_a_record_without_a_trainer_is_of_ultralytics(trained: Path) -> None:
    document = read_record(trained).model_dump(exclude={"trainer"})
    assert RunRecord.model_validate(document).weights_file == "best.pt"
