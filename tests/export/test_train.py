from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import pytest
import torch
from ultralytics import YOLO

from edgeloop.export.data.yolo_dataset import open_dataset
from edgeloop.export.train.detectors import build_detector, load_detector
from edgeloop.export.train.run_record import RunRecord, read_record
from edgeloop.export.train.training import train_detector
from edgeloop.export.train_options import TrainOptions
from edgeloop.models.errors import DataError, NoInputError, UsageError


def test_learns_the_dataset(record: RunRecord, dataset: Path) -> None:
    assert record.map50 is not None
    assert record.map50 > 0.6
    assert record.dataset_sha256 == open_dataset(dataset).digest
    assert record.weights == "edgeloop-lite0"
    assert [epoch.number for epoch in record.epochs] == list(range(1, 15))
    assert record.epochs[-1].loss["cls_loss"] < record.epochs[0].loss["cls_loss"]
    assert record.epochs[-1].map50 is not None
    assert record.images_per_second > 0


def test_a_run_is_three_files(run: Path) -> None:
    assert sorted(path.name for path in run.iterdir()) == ["best.pt", "curves.png", "run.json"]
    assert [path.name for path in run.parent.iterdir()] == ["run"]
    curves = cv2.imread(str(run / "curves.png"))
    assert curves is not None
    assert curves.std() > 5


@pytest.mark.usefixtures("run")
def test_leaves_the_dataset_as_it_was(dataset: Path) -> None:
    assert {path.suffix for path in dataset.rglob("*") if path.is_file()} == {".jpg", ".txt", ".yaml"}


def test_the_backbone_stays_still(run: Path) -> None:
    start = build_detector("edgeloop-lite0", None, ("disk", "bar"), seed=3).half().state_dict()
    trained = load_detector(run / "best.pt").half().state_dict()
    moved = {key for key in start if not torch.equal(start[key], trained[key])}
    assert moved
    assert not [key for key in moved if key.startswith("model.0.")]


def test_ultralytics_opens_the_checkpoint(run: Path, dataset: Path) -> None:
    (result,) = YOLO(run / "best.pt").predict(dataset / "images/val/002.jpg", imgsz=160, verbose=False)
    assert result.names == {0: "disk", 1: "bar"}
    assert len(result.boxes) >= 1


@pytest.mark.slow
def test_the_same_seed_gives_the_same_detector(dataset: Path, tmp_path: Path, options: TrainOptions) -> None:
    short = replace(options, epochs=1)
    states = []
    for name in ("one", "two"):
        train_detector(dataset, tmp_path / name, short)
        states.append(load_detector(tmp_path / name / "best.pt").state_dict())
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


@pytest.mark.slow
def test_a_time_limit_holds(dataset: Path, tmp_path: Path, options: TrainOptions) -> None:
    record = train_detector(dataset, tmp_path / "run", replace(options, epochs=None, time_limit_s=8))
    assert 1 <= len(record.epochs) < 1000
    assert record.epochs[-1].map50 is not None


@pytest.mark.slow
def test_ends_early_where_nothing_is_gained_any_more(run: Path, dataset: Path, tmp_path: Path) -> None:
    options = TrainOptions(model=str(run / "best.pt"), epochs=40, patience=1, imgsz=160, batch=4, freeze=1)
    record = train_detector(dataset, tmp_path / "run", options)
    scores = [epoch.map50_95 or 0.0 for epoch in record.epochs]
    assert 1 < len(scores) < 40
    assert scores[-1] <= max(scores[:-1]) == record.map50_95


@pytest.mark.slow
def test_goes_on_from_a_checkpoint(run: Path, record: RunRecord, dataset: Path, tmp_path: Path) -> None:
    options = TrainOptions(model=str(run / "best.pt"), epochs=1, imgsz=160, batch=4, freeze=1)
    again = train_detector(dataset, tmp_path / "run", options)
    assert again.map50 is not None
    assert record.map50 is not None
    assert again.map50 > record.map50 - 0.25


@pytest.mark.slow
def test_an_earlier_run_is_kept_unless_told(
    run: Path, dataset: Path, tmp_path: Path, options: TrainOptions
) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    with pytest.raises(DataError, match=r"run: holds an earlier run; .*--overwrite"):
        train_detector(dataset, copy, options)
    with pytest.raises(DataError, match=r"dataset\S*: exists and is no earlier run"):
        train_detector(dataset, dataset, replace(options, overwrite=True))
    assert read_record(copy) == read_record(run)
    train_detector(dataset, copy, replace(options, epochs=1, overwrite=True))
    assert len(read_record(copy).epochs) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"imgsz": 100}, "--imgsz 100: expected a multiple of 32"),
        ({"batch": 0}, "--batch 0: expected at least 1"),
        ({"epochs": 0}, "--epochs 0: expected at least 1"),
        ({"epochs": None, "time_limit_s": 0.0}, "--time-limit 0: expected seconds"),
    ],
)
def test_refuses_options_that_make_no_sense(
    change: dict[str, Any], message: str, dataset: Path, tmp_path: Path, options: TrainOptions
) -> None:
    with pytest.raises(UsageError, match=message):
        train_detector(dataset, tmp_path / "run", replace(options, **change))


@pytest.mark.parametrize(
    ("gone", "message"),
    [
        ("images/train/*.jpg", "no images under train; training needs both parts"),
        ("images/val/*.jpg", "no images under val; training needs both parts"),
        ("labels/train/*.txt", "none of the 32 training images shows an object"),
    ],
)
def test_refuses_a_dataset_with_nothing_to_learn(
    gone: str, message: str, dataset: Path, tmp_path: Path, options: TrainOptions
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(dataset, copy)
    for path in copy.glob(gone):
        path.unlink()
    with pytest.raises(DataError, match=message):
        train_detector(copy, tmp_path / "run", options)
    assert not (tmp_path / "run").exists()


def test_names_an_image_that_cannot_be_read(dataset: Path, tmp_path: Path, options: TrainOptions) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(dataset, copy)
    image = copy / "images/train/004.jpg"
    image.write_bytes(image.read_bytes()[:400])
    with pytest.raises(DataError, match=r"004\.jpg: not a readable image"):
        train_detector(copy, tmp_path / "run", options)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy"]


def test_says_that_a_folder_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(NoInputError, match=r"run\.json: no such file"):
        read_record(tmp_path)
    (tmp_path / "run.json").write_text('{"model": 3}')
    with pytest.raises(DataError, match=r"run\.json, model: Input should be a valid string"):
        read_record(tmp_path)


@pytest.mark.slow
def test_a_detector_of_another_activation_is_trained_and_loaded_again(
    dataset: Path, tmp_path: Path, options: TrainOptions
) -> None:
    chosen = replace(options, model="yolo26n", activation="relu", epochs=1, imgsz=64)
    assert train_detector(dataset, tmp_path / "run", chosen).activation == "relu"
    assert read_record(tmp_path / "run").activation == "relu"
    kinds = {type(module) for module in load_detector(tmp_path / "run" / "best.pt").modules()}
    assert torch.nn.ReLU in kinds
    assert torch.nn.SiLU not in kinds
