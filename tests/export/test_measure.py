from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np

from edgeloop.export.check.measure import measure, measure_torch
from edgeloop.export.data.yolo_dataset import LabeledImage
from edgeloop.models.detections import Detections

_OBJECT = (10.0, 10.0, 50.0, 50.0)
_TWICE = (10.0, 10.0, 50.0, 34.0)  # at an IoU of 0.6 with it


def test_scores_are_of_the_boxes_that_ship_and_a_swap_of_two_of_an_object_is_no_difference(
    tmp_path: Path,
) -> None:
    """The first image has the object twice; in the bundle, rounding made the other box the surer one."""
    images = [_labeled(tmp_path / f"{number}.png") for number in range(2)]
    torch = measure_torch(_finds(0.61, 0.6, tmp_path), images, ["disk"], 0.5)
    assert torch.scores.map50 == 1
    plain = measure_torch(_finds(0.61, 0.6, tmp_path), images, ["disk"])
    assert 0.8 < plain.scores.map50 < 0.9
    bundle = measure("fp16", _finds(0.6, 0.61, tmp_path), torch)
    assert (bundle.parity.repeated, bundle.parity.boxes) == (3, 3)
    assert bundle.scores.map50 == 1


def _finds(first: float, second: float, folder: Path) -> Any:
    """Detector that finds an object with two scores in the first image, and with 0.4 in the second."""
    answers = iter([((first, _OBJECT), (second, _TWICE)), ((0.4, _OBJECT),)])

    def detect(_image: object) -> Detections:
        score, boxes = zip(*sorted(next(answers), reverse=True), strict=True)
        return Detections(
            np.array(boxes, np.float32), np.array(score, np.float32), np.zeros(len(score), np.int64)
        )

    return SimpleNamespace(detect=detect, names=("disk",), path=folder / "0.png")


def _labeled(path: Path) -> LabeledImage:
    cv2.imwrite(str(path), np.zeros((100, 100, 3), np.uint8))
    return LabeledImage(path, np.zeros(1, np.int64), np.array([[0.3, 0.3, 0.4, 0.4]], np.float32))
