from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from edgeloop.export.data.coco_labels import coco_truth
from edgeloop.export.data.yolo_dataset import open_dataset
from edgeloop.models.errors import DataError, NoInputError


def test_reads_images_boxes_and_names(dataset: Path) -> None:
    data = open_dataset(dataset)
    assert data.names == ("disk", "bar")
    assert (len(data.train), len(data.val)) == (32, 8)
    empty, one, two = data.train[:3]
    assert [len(image.class_id) for image in (empty, one, two)] == [0, 1, 2]
    assert two.xywh.shape == (2, 4)
    assert two.xywh.dtype == np.float32
    assert two.path.name == "002.jpg"


def test_the_digest_follows_the_content(dataset: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(dataset, copy)
    assert open_dataset(copy).digest == open_dataset(dataset).digest
    label = copy / "labels" / "train" / "001.txt"
    label.write_text(label.read_text().replace("0.", "0.0", 1))
    assert open_dataset(copy).digest != open_dataset(dataset).digest


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("labels/val/001.txt", "2 0.5 0.5 0.1 0.1", "001.txt:1: class 2 is out of range; data.yaml names 2"),
        ("labels/val/001.txt", "0.5 0.5 0.5 0.1 0.1", "001.txt:1: class 0.5 is out of range"),
        ("labels/val/001.txt", "\n0 0.5 0.5 0.1", "001.txt:2: expected a class number and x y width height"),
        ("labels/val/001.txt", "0 0.5 0.5 0.1 120", "001.txt:1: expected a class number and x y width"),
        ("labels/val/001.txt", "disk 0.5 0.5 0.1 0.1", "001.txt:1: expected a class number and x y width"),
        ("labels/val/001.txt", "0 nan 0.5 0.1 0.1", "001.txt:1: expected a class number and x y width"),
        ("data.yaml", "names: [disk, bar]\ntrain: images/gone\n", "train must name a folder of images, got"),
        ("data.yaml", "names: {1: disk}\n", "names must list the classes"),
        ("data.yaml", "train: images/train\n", "names must list the classes"),
        ("data.yaml", "just text", "expected keys train, val and names, got str"),
        ("data.yaml", "names: [disk\n", "not readable as YAML"),
    ],
)
def test_says_what_is_wrong(file: str, content: str, message: str, dataset: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(dataset, copy)
    (copy / file).write_text(content)
    with pytest.raises(DataError) as caught:
        open_dataset(copy)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_says_that_there_is_no_dataset(tmp_path: Path) -> None:
    with pytest.raises(NoInputError, match=r"data\.yaml: no such file; a dataset has data\.yaml"):
        open_dataset(tmp_path)


def test_outlines_are_read_for_the_task_segment_only(dataset: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(dataset, copy)
    for path in (copy / "labels").rglob("*.txt"):
        path.write_text("1 0.25 0.25 0.75 0.25 0.75 1 0.25 0.5\n" if path.stem == "001" else "")
    boxes, outlined = open_dataset(copy), open_dataset(copy, task="segment")
    assert boxes.train[1].outlines is None
    assert outlined.train[0].outlines == ()
    image = outlined.train[1]
    assert image.xywh.tolist() == boxes.train[1].xywh.tolist() == [[0.5, 0.625, 0.5, 0.75]]
    (annotation,) = coco_truth([image], [(200, 100)], outlined.names)["annotations"]
    assert annotation["bbox"] == [50, 25, 100, 75]
    assert annotation["segmentation"] == [[50, 25, 150, 25, 150, 100, 50, 50]]
    assert outlined.digest == boxes.digest


def test_a_dataset_of_boxes_has_no_outlines(dataset: Path) -> None:
    with pytest.raises(DataError, match=r"labels/train/001\.txt:1: labels are boxes.*label with --task seg"):
        open_dataset(dataset, task="segment")
    assert "segmentation" not in coco_truth([open_dataset(dataset).train[1]], [(9, 9)], ())["annotations"][0]
