from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import pytest
import torch

from edgeloop.export.data.yolo_dataset import open_dataset
from edgeloop.export.network.detector_weights import read_state
from edgeloop.export.network.start_detector import start_detector
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
    assert record.epochs[-1].loss["score"] < record.epochs[0].loss["score"]
    assert record.epochs[-1].map50 is not None
    assert record.images_per_second > 0


def test_a_run_is_three_files(run: Path) -> None:
    assert sorted(path.name for path in run.iterdir()) == ["best.safetensors", "curves.png", "run.json"]
    assert [path.name for path in run.parent.iterdir()] == ["run"]
    curves = cv2.imread(str(run / "curves.png"))
    assert curves is not None
    assert curves.std() > 5


@pytest.mark.usefixtures("run")
def test_leaves_the_dataset_as_it_was(dataset: Path) -> None:
    assert {path.suffix for path in dataset.rglob("*") if path.is_file()} == {".jpg", ".txt", ".yaml"}


def test_the_backbone_stays_still(run: Path) -> None:
    start = start_detector(2, None, seed=3)[0].half().state_dict()
    trained = read_state(run / "best.safetensors")
    moved = {key for key, value in trained.items() if not torch.equal(start[key], value.half())}
    assert moved
    assert not [key for key in moved if key.startswith("backbone.")]


@pytest.mark.slow
def test_the_same_seed_gives_the_same_detector(dataset: Path, tmp_path: Path, options: TrainOptions) -> None:
    short = replace(options, epochs=1)
    states = []
    for name in ("one", "two"):
        train_detector(dataset, tmp_path / name, short)
        states.append(read_state(tmp_path / name / "best.safetensors"))
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


@pytest.mark.slow
def test_a_time_limit_holds(dataset: Path, tmp_path: Path, options: TrainOptions) -> None:
    record = train_detector(dataset, tmp_path / "run", replace(options, epochs=None, time_limit_s=4))
    assert 1 <= len(record.epochs) < 1000
    assert record.epochs[-1].map50 is not None


@pytest.mark.slow
def test_ends_early_where_nothing_is_gained_any_more(run: Path, dataset: Path, tmp_path: Path) -> None:
    weights = str(run / "best.safetensors")
    options = TrainOptions(weights=weights, epochs=40, patience=1, imgsz=160, batch=4)
    record = train_detector(dataset, tmp_path / "run", options)
    scores = [epoch.map50_95 or 0.0 for epoch in record.epochs]
    assert 1 < len(scores) < 40
    assert scores[-1] <= max(scores[:-1]) == record.map50_95


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
        ({"epochs": None, "time_limit_s": float("nan")}, "--time-limit nan: expected seconds"),
        ({"imgsz": 16384}, "--imgsz 16384: expected a multiple of 32, at most 8192"),
        ({"seed": -1}, "--seed -1: expected at least 0"),
        ({"seed": 2**32}, "--seed 4294967296: expected less than 2\\^32"),
        ({"max_detections": 0}, "--max-detections 0: expected 1 to 10000"),
        ({"freeze": -1}, "--freeze -1: expected at least 0"),
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
        ("images/train/*.jpg", "no images under train; there is nothing to learn from"),
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


def test_more_objects_than_a_detector_reports_are_said_before_training(
    dataset: Path, tmp_path: Path, options: TrainOptions, caplog: pytest.LogCaptureFixture
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(dataset, copy)
    label = next(copy.glob("labels/train/*.txt"))
    label.write_text(
        "".join(f"0 {x / 20:.4f} {y / 20:.4f} 0.03 0.03\n" for x in range(1, 6) for y in range(1, 5))
    )
    next(copy.glob("images/train/*.jpg")).write_bytes(b"")  # ends the training before it begins
    with pytest.raises(DataError):
        train_detector(copy, tmp_path / "run", replace(options, max_detections=19))
    assert any("20 objects" in record.getMessage() for record in caplog.records)


def test_patience_needs_objects_to_validate_on(dataset: Path, tmp_path: Path, options: TrainOptions) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(dataset, copy)
    for path in copy.glob("labels/val/*.txt"):
        path.unlink()
    with pytest.raises(DataError, match="no object in the validation part, by which --patience would stop"):
        train_detector(copy, tmp_path / "run", replace(options, patience=2))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy"]


def test_a_run_has_a_name(
    dataset: Path, tmp_path: Path, options: TrainOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"--out \.: expected a folder to create, by its name"):
        train_detector(dataset, ".", options)


def test_the_folder_of_a_run_may_not_be_a_file(dataset: Path, tmp_path: Path, options: TrainOptions) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"--out \S+/file/run: \S+/file is no folder and cannot be made one"):
        train_detector(dataset, tmp_path / "file/run", options)


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
    with pytest.raises(DataError, match=r"run\.json: model: Input should be a valid string"):
        read_record(tmp_path)
