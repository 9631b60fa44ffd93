from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np

from edgeloop.export.check.measure import measure, measure_torch
from edgeloop.export.data.yolo_dataset import LabeledImage
from edgeloop.models.boxes import nms
from edgeloop.models.detections import Detections

_OBJECT = (10.0, 10.0, 50.0, 50.0)
_TWICE = (10.0, 10.0, 50.0, 34.0)  # at an IoU of 0.6 with it


def test_a_swap_of_two_boxes_of_an_object_by_rounding_is_no_difference(tmp_path: Path) -> None:
    """NMS keeps the surer one; in the bundle that is the other one. A box that is nowhere is missing."""
    images = [_labeled(tmp_path / "0.png")]
    torch = measure_torch(_finds(0.61, 0.6, tmp_path), images, ["disk"])
    assert [each.xyxy.tolist() for each in torch.found] == [[list(_OBJECT)]]
    bundle = measure("fp16", _finds(0.6, 0.61, tmp_path), torch)
    assert [each.xyxy.tolist() for each in bundle.found] == [[list(_TWICE)]]
    assert (bundle.parity.repeated, bundle.parity.boxes) == (1, 1)
    assert bundle.per_class["disk"] == bundle.parity
    missing = measure("fp16", _finds(0.1, 0.61, tmp_path), torch)
    assert (missing.parity.repeated, missing.parity.boxes) == (0, 1)


def _finds(first: float, second: float, folder: Path) -> Any:
    """Detector that finds the object with one score, and once more with the other one."""
    every = Detections(
        np.array([_OBJECT, _TWICE], np.float32), np.array([first, second], np.float32), np.zeros(2, np.int64)
    )

    def candidates(
        _outputs: object, _letterbox: object, *, confidence: float, iou: float, **_: int
    ) -> Detections:
        sure = every[every.confidence > confidence]
        return sure[nms(sure.xyxy, sure.confidence, sure.class_id, iou)]

    def detect(*_: object) -> Detections:
        return candidates(None, None, confidence=0.001, iou=0.5)

    return SimpleNamespace(
        detect=detect,
        preprocess=lambda _: SimpleNamespace(letterbox=None),
        infer=lambda _: None,
        postprocess=detect,
        candidates=candidates,
        names=("disk",),
        path=folder / "0.png",
    )


def _labeled(path: Path) -> LabeledImage:
    cv2.imwrite(str(path), np.zeros((100, 100, 3), np.uint8))
    return LabeledImage(path, np.zeros(1, np.int64), np.array([[0.3, 0.3, 0.4, 0.4]], np.float32))
