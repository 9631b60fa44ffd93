"""Losses and labels of benchmarks/distillation.py: what a probability and an undecided region change."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from pycocotools import mask as rle

from edgeloop.export.data.yolo_dataset import LabeledImage
from edgeloop.export.learn.assign import Targets
from edgeloop.export.learn.batches import Batch
from edgeloop.export.learn.detection_loss import detection_loss
from edgeloop.export.learn.mask_targets import MaskTargets
from edgeloop.export.network.compact_detector import Predictions
from edgeloop.models.detections import Detections
from taught_labels import TaughtLabels, labeled_again, read_labels
from taught_students import taught_loss

SHAPES = [(8, 8), (4, 4), (2, 2)]  # of an input of 64 px
CELLS = 84
TARGETS = Targets(
    torch.tensor([0, 1]),
    torch.tensor([1, 0]),
    torch.tensor([[8.0, 8.0, 40.0, 30.0], [20.0, 4.0, 60.0, 60.0]]),
)
NONE = Targets(*(each[:0] for each in TARGETS))
SURE = torch.ones(2)


@pytest.fixture
def predictions() -> Predictions:
    drawn = torch.Generator().manual_seed(0)
    distances = 1 + torch.rand((2, CELLS, 4), generator=drawn)
    return Predictions(distances, torch.randn((2, CELLS, 2), generator=drawn).requires_grad_())


def test_labels_that_are_certain_are_learned_as_the_trainer_does(predictions: Predictions) -> None:
    ours = detection_loss(predictions, TARGETS, SHAPES).total
    for soft in (False, True):
        taught = taught_loss(predictions, TARGETS, SURE, SHAPES, doubted=NONE, soft=soft)
        assert float(taught.detach()) == pytest.approx(float(ours.detach()), rel=1e-5)


def test_cells_in_an_undecided_region_learn_no_background(predictions: Predictions) -> None:
    region = Targets(torch.tensor([0]), torch.tensor([0]), torch.tensor([[41.0, 41.0, 64.0, 64.0]]))
    taught_loss(predictions, TARGETS, SURE, SHAPES, doubted=region).backward()
    gradient = predictions.logits.grad
    assert gradient is not None
    cell = 7 * 8 + 7  # the last one at stride 8, far from all objects
    assert not gradient[0, cell].any()
    assert gradient[1, cell].all(), "the same cell of another image is background"


def test_an_object_inside_an_undecided_region_is_still_learned(predictions: Predictions) -> None:
    region = TARGETS._replace(class_id=torch.tensor([0, 0]))
    taught_loss(predictions, TARGETS, SURE, SHAPES, doubted=region).backward()
    gradient = predictions.logits.grad
    assert gradient is not None
    assert (gradient[..., 1] < 0).any(), "some cell learns a higher score of the object's class"


def test_sure_and_unsure_labels_keep_their_probability(tmp_path: Path) -> None:
    images = [{"id": 1, "file_name": "images/train/a.jpg", "width": 100, "height": 50}]
    disk = cv2.circle(np.zeros((50, 100), np.uint8), (20, 20), 8, 1, -1)
    runs = rle.encode(np.asfortranarray(disk))
    sure = {
        "image_id": 1, "category_id": 2, "bbox": [10, 10, 20, 20], "score": 0.8, "prompt": "detector",
        "segmentation": {"size": [50, 100], "counts": runs["counts"].decode()},
    }  # fmt: skip
    unsure = {"file": "a.jpg", "maybe": "nut", "bbox": [50, 0, 10, 10], "score": 0.3}
    categories = [{"id": 1, "name": "nut"}, {"id": 2, "name": "bolt"}]
    document = {"images": images, "annotations": [sure], "categories": categories}
    (tmp_path / "instances.json").write_text(json.dumps(document))
    (tmp_path / "review.json").write_text(json.dumps({"unsure": [unsure]}))
    labels = read_labels(tmp_path)
    rows = torch.from_numpy(labels.images[0].class_id)
    boxes = torch.from_numpy(labels.images[0].xywh)
    masks = MaskTargets(torch.tensor([[0, 0, 2, 1], [0, 0, 3, 1]]), torch.arange(5, dtype=torch.uint8))
    targets = Targets(torch.zeros(2, dtype=torch.int64), rows, boxes)
    lesson = labels.lesson(Batch(torch.zeros(1), targets, masks))
    assert lesson.targets.class_id.tolist() == [1]
    assert lesson.probability.tolist() == pytest.approx([0.8])
    assert lesson.targets.xyxy[0].tolist() == pytest.approx([0.2, 0.4, 0.2, 0.4])
    assert lesson.doubted.class_id.tolist() == [0]
    assert lesson.doubted_probability.tolist() == pytest.approx([0.3])
    assert [each.class_id.tolist() for each in labels.learned] == [[1]]
    assert lesson.masks is not None
    assert lesson.masks.covered.tolist() == [0, 1]
    outlines = labels.images[0].outlines
    assert outlines is not None
    assert [len(each) > 6 for each in outlines] == [True, False], "an unsure label has no mask"


def test_labels_of_a_second_teacher_are_as_many_and_a_person_keeps_its_own(tmp_path: Path) -> None:
    for name in ("drawn.jpg", "other.jpg"):
        cv2.imwrite(str(tmp_path / name), np.zeros((50, 100, 3), np.uint8))
    half = np.full((1, 4), 0.5, np.float32)
    images = [
        LabeledImage(tmp_path / name, np.array([row]), half)
        for row, name in enumerate(("drawn.jpg", "other.jpg"))
    ]
    labels = TaughtLabels(("a",), images, torch.zeros(2, dtype=torch.int64), torch.ones(2), torch.ones(2) > 0)
    found = Detections(
        np.array([[0, 0, 20, 10], [40, 20, 60, 30]], np.float32),
        np.array([0.9, 0.6], np.float32),
        np.array([0, 0]),
    )
    drawn, other = labeled_again(labels, lambda _: found, {"drawn.jpg"}).learned
    assert drawn.xywh.tolist() == half.tolist()
    assert other.xywh == pytest.approx(np.array([[0.1, 0.1, 0.2, 0.2]]))
