"""Trainings of masks, from the command's options to the run's record."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeloop.export.network.detector_weights import read_detector
from edgeloop.export.train.run_record import read_record
from edgeloop.export.train.training import train_detector
from edgeloop.export.train_options import TrainOptions
from edgeloop.models.errors import DataError, UsageError


@pytest.mark.slow
def test_a_run_of_masks_keeps_its_task_and_scores(outlined: Path, tmp_path: Path) -> None:
    options = TrainOptions(task="segment", epochs=2, imgsz=96, batch=8, seed=1)
    record = train_detector(outlined, tmp_path / "run", options)
    assert read_record(tmp_path / "run") == record
    assert record.task == "segment"
    assert record.mask_map50_95 is not None
    assert record.epochs[-1].mask_map50_95 is not None
    assert set(record.epochs[0].loss) == {"box", "score", "edge", "mask"}
    detector, _ = read_detector(tmp_path / "run" / record.weights_file)
    assert detector.masks is not None
    assert detector.masks.count == 16


@pytest.mark.slow
def test_polygons_train_a_detector_of_boxes(outlined: Path, tmp_path: Path) -> None:
    record = train_detector(outlined, tmp_path / "run", TrainOptions(epochs=1, imgsz=96, batch=8))
    assert (record.task, record.mask_map50, record.epochs[0].mask_map50) == ("detect", None, None)
    detector, _ = read_detector(tmp_path / "run" / record.weights_file)
    assert detector.masks is None


def test_a_dataset_of_boxes_is_refused(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"labels are boxes, expected polygons .* label with --task segment"):
        train_detector(dataset, tmp_path / "run", TrainOptions(task="segment"))
    assert not list(tmp_path.iterdir())


def test_other_trainers_learn_no_masks() -> None:
    with pytest.raises(UsageError, match=r"--task segment: only edgeloop-lite0 .* leave out --trainer ultra"):
        TrainOptions(task="segment", trainer="ultralytics")
