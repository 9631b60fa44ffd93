"""A dataset small enough to be learned in seconds, the run that learned it, and its bundle."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from numpy.typing import NDArray

from edgeloop.export.exporter import export_bundle
from edgeloop.export.report.export_report import ExportReport
from edgeloop.export.train.run_record import RunRecord
from edgeloop.export.train.training import train_detector
from edgeloop.export.train_options import TrainOptions
from tests.made_once import made_once

# Tests of the trainer in an extra of its own.
collect_ignore_glob = [] if find_spec("ultralytics") else ["test_ultralytics_*.py"]

import_module("edgeloop.export.ultralytics")  # switches it offline before a test module imports it

NAMES = ("disk", "bar")
SIZE = (160, 120)
IMGSZ = 160


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Small tensors are split over cores at a loss."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 images of 160x120 with disks and bars on a rough ground, 32 of them to learn from."""
    return made_once(tmp_path_factory, "dataset", lambda folder: write_dataset(folder, train=32, val=8))


@pytest.fixture(scope="session")
def options() -> TrainOptions:
    return TrainOptions(epochs=14, imgsz=IMGSZ, batch=4, seed=3)


@pytest.fixture(scope="session")
def run(_slow: None, dataset: Path, options: TrainOptions, tmp_path_factory: pytest.TempPathFactory) -> Path:
    def train(folder: Path) -> Path:
        train_detector(dataset, folder / "run", options)
        return folder / "run"

    return made_once(tmp_path_factory, "training", train)


@pytest.fixture(scope="session")
def record(run: Path) -> RunRecord:
    return RunRecord.model_validate_json((run / "run.json").read_text())


@pytest.fixture(scope="session")
def report(run: Path, dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> ExportReport:
    return made_once(
        tmp_path_factory, "bundle", lambda folder: export_bundle(run, dataset, folder / "parts.onnx")
    )


@pytest.fixture(scope="session")
def outlined(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The images of `dataset`, labeled with outlines."""
    return made_once(
        tmp_path_factory, "outlined", lambda folder: write_dataset(folder, train=32, val=8, outlines=True)
    )


@pytest.fixture(scope="session")
def segment_report(_slow: None, outlined: Path, tmp_path_factory: pytest.TempPathFactory) -> ExportReport:
    """Export of a segmentation model that was trained for seconds."""

    def make(folder: Path) -> ExportReport:
        short = TrainOptions(task="segment", epochs=8, imgsz=96, batch=4, seed=3)
        train_detector(outlined, folder / "run", short)
        return export_bundle(folder / "run", outlined, folder / "parts.onnx")

    return made_once(tmp_path_factory, "segment", make)


def write_dataset(root: Path, *, train: int, val: int, outlines: bool = False) -> Path:
    """Write images with up to two objects each, and their boxes or outlines in YOLO's format."""
    rng = np.random.default_rng(5)
    for split, count in (("train", train), ("val", val)):
        images, labels = root / "images" / split, root / "labels" / split
        images.mkdir(parents=True)
        labels.mkdir(parents=True)
        for number in range(count):
            image, boxes, polygons = draw(rng, objects=number % 3)
            cv2.imwrite(str(images / f"{number:03}.jpg"), image)
            (labels / f"{number:03}.txt").write_text("\n".join(polygons if outlines else boxes))
    config = {"train": "images/train", "val": "images/val", "names": list(NAMES)}
    (root / "data.yaml").write_text(yaml.safe_dump(config))
    return root


def draw(rng: np.random.Generator, *, objects: int) -> tuple[NDArray[np.uint8], list[str], list[str]]:
    """One image, its objects side by side, and its label rows: boxes, and outlines."""
    width, height = SIZE
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    shapes = (
        np.stack((np.cos(angles), np.sin(angles)), axis=1),
        np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]),
    )
    image = rng.integers(70, 110, (height, width, 3), dtype=np.uint8)
    rows, outlines = [], []
    for place in range(objects):
        class_id, half = int(rng.integers(2)), int(rng.integers(16, 28))
        x, y = 40 + 80 * place + int(rng.integers(-8, 8)), int(rng.integers(half + 2, height - half - 2))
        if class_id == 0:
            box = (half, half)
            cv2.circle(image, (x, y), half, (40, 60, 220), -1, cv2.LINE_AA)
        else:
            box = (half, half // 2)
            cv2.rectangle(image, (x - half, y - half // 2), (x + half, y + half // 2), (220, 210, 60), -1)
        sides = (2 * box[0] / width, 2 * box[1] / height)
        rows.append(f"{class_id} {x / width:.5f} {y / height:.5f} {sides[0]:.5f} {sides[1]:.5f}")
        points = ((x, y) + shapes[class_id] * box) / SIZE
        outlines.append(f"{class_id} {' '.join(f'{each:.5f}' for each in points.ravel())}")
    return image, rows, outlines
