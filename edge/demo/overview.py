"""One picture that explains the product: labels beside ground truth beside detections."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.annotate import annotate
from edge.demo.truth import SceneTruth
from edge.detector import Detector
from models.boxes import xywh_to_xyxy
from models.detections import Detections

__all__ = ["draw_overview"]

Image = NDArray[np.uint8]

_ROWS = 2
_MARGIN, _HEADER = 12, 44
_PAPER, _INK = (250, 250, 250), (40, 40, 40)
_TITLES = ("Labels by SAM, from a few drawn boxes", "Ground truth", "The detector, on its device")


def draw_overview(truth: SceneTruth, dataset: Path, bundle: Path, path: Path) -> None:
    """Draw frames of the validation part, which the detector has not trained on, in three versions each.

    Args:
        truth: Of the scene.
        dataset: Folder that `edgeloop label` wrote.
        bundle: The exported detector.
        path: PNG to write.
    """
    coco = json.loads((dataset / "instances.json").read_text())
    detector = Detector(bundle)
    names = truth.scene.classes
    rows = []
    for image in _busiest_validation_images(coco):
        picture = truth.scene.render(image["frame_index"])
        expected = truth.scene.truth(image["frame_index"])
        ones = np.ones(len(expected), dtype=np.float32)
        drawn = Detections(xyxy=expected.xyxy, confidence=ones, class_id=expected.class_id)
        rows.append(
            (
                annotate(picture, _labels(coco, image["id"]), [c["name"] for c in coco["categories"]]),
                annotate(picture, drawn, names),
                annotate(picture, detector.detect(picture), detector.names),
            )
        )
    if not cv2.imwrite(str(path), _sheet(rows)):
        raise OSError(f"{path}: cannot be written")


def _busiest_validation_images(coco: dict[str, Any]) -> list[dict[str, Any]]:
    held_out = [image for image in coco["images"] if image["split"] == "val"]
    counts = {image["id"]: 0 for image in held_out}
    for annotation in coco["annotations"]:
        if annotation["image_id"] in counts:
            counts[annotation["image_id"]] += 1
    half = max(1, len(held_out) // _ROWS)
    parts = [held_out[i : i + half] for i in range(0, half * _ROWS, half)]
    return [max(part, key=lambda image: counts[image["id"]]) for part in parts if part]


def _labels(coco: dict[str, Any], image_id: int) -> Detections:
    own = [label for label in coco["annotations"] if label["image_id"] == image_id]
    rows = {category["id"]: row for row, category in enumerate(coco["categories"])}
    boxes = np.array([label["bbox"] for label in own], dtype=np.float32).reshape(-1, 4)
    return Detections(
        xyxy=xywh_to_xyxy(boxes),
        confidence=np.array([label["score"] for label in own], dtype=np.float32),
        class_id=np.array([rows[label["category_id"]] for label in own], dtype=np.int64),
    )


def _sheet(rows: list[tuple[Image, Image, Image]]) -> Image:
    """Three titled columns on paper."""
    height, width = rows[0][0].shape[:2]
    sheet = np.full(
        (_HEADER + len(rows) * (height + _MARGIN), 3 * width + 4 * _MARGIN, 3), _PAPER, dtype=np.uint8
    )
    for column, title in enumerate(_TITLES):
        left = _MARGIN + column * (width + _MARGIN)
        place = (left, _HEADER - 15)
        cv2.putText(sheet, title, place, cv2.FONT_HERSHEY_DUPLEX, width / 900, _INK, 1, cv2.LINE_AA)
        for row, pictures in enumerate(rows):
            top = _HEADER + row * (height + _MARGIN)
            sheet[top : top + height, left : left + width] = pictures[column]
    return sheet
