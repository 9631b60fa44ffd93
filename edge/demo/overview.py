"""Overview image: labels beside ground truth beside detections."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.draw.annotate import annotate, color_of
from edgeloop.edge.draw.style import FONT
from edgeloop.edge.host.opencv import write_image
from edgeloop.edge.runtime.detector import Detector
from edgeloop.edge.synth import Scene
from edgeloop.models.boxes import xywh_to_xyxy
from edgeloop.models.detections import Detections

__all__ = ["draw_overview"]

Image = NDArray[np.uint8]

_ROWS = 2
_MARGIN, _HEADER = 12, 44
_PAPER, _INK = (250, 250, 250), (40, 40, 40)
_TITLES = ("Labels, from five drawn frames", "Ground truth", "The detector, on its device")


def draw_overview(scene: Scene, dataset: Path, bundle: Path, path: Path) -> None:
    """Draw validation frames, which the detector has not trained on, in three versions each.

    Args:
        scene: Built-in scene.
        dataset: Folder that `edgeloop label` wrote.
        bundle: The exported detector.
        path: PNG to write.
    """
    coco = json.loads((dataset / "instances.json").read_text())
    detector = Detector(bundle)
    names = scene.classes
    rows = []
    for image in _busiest_validation_images(coco):
        picture = scene.render(image["frame_index"])
        labels = [label for label in coco["annotations"] if label["image_id"] == image["id"]]
        class_names = [category["name"] for category in coco["categories"]]
        expected = scene.truth(image["frame_index"])
        ones = np.ones(len(expected), dtype=np.float32)
        drawn = Detections(xyxy=expected.xyxy, confidence=ones, class_id=expected.class_id)
        rows.append(
            (
                annotate(_tinted(picture, labels, coco), _detections(labels, coco), class_names),
                annotate(picture, drawn, names, confidence=False),
                annotate(picture, detector.detect(picture), detector.names),
            )
        )
    write_image(path, _sheet(rows))


def _busiest_validation_images(coco: dict[str, Any]) -> list[dict[str, Any]]:
    held_out = [image for image in coco["images"] if image["split"] == "val"]
    counts = {image["id"]: 0 for image in held_out}
    for annotation in coco["annotations"]:
        if annotation["image_id"] in counts:
            counts[annotation["image_id"]] += 1
    half = max(1, len(held_out) // _ROWS)
    parts = [held_out[i : i + half] for i in range(0, half * _ROWS, half)]
    return [max(part, key=lambda image: counts[image["id"]]) for part in parts if part]


def _detections(labels: list[dict[str, Any]], coco: dict[str, Any]) -> Detections:
    boxes = np.array([label["bbox"] for label in labels], dtype=np.float32).reshape(-1, 4)
    return Detections(
        xyxy=xywh_to_xyxy(boxes),
        confidence=np.array([label["score"] for label in labels], dtype=np.float32),
        class_id=np.array([_row(label, coco) for label in labels], dtype=np.int64),
    )


def _tinted(picture: Image, labels: list[dict[str, Any]], coco: dict[str, Any]) -> Image:
    """Draw the mask of each label in the color of its class."""
    from pycocotools import mask as rle

    tinted = picture.copy()
    for label in labels:
        if "segmentation" in label:
            inside = np.asarray(rle.decode(label["segmentation"]), dtype=bool)
            color = np.array(color_of(_row(label, coco)), dtype=np.float32)
            tinted[inside] = (0.45 * picture[inside] + 0.55 * color).astype(np.uint8)
    return tinted


def _row(label: dict[str, Any], coco: dict[str, Any]) -> int:
    """Find the index of a label's category in the list of categories."""
    return [category["id"] for category in coco["categories"]].index(label["category_id"])


def _sheet(rows: list[tuple[Image, Image, Image]]) -> Image:
    """Arrange the images in three titled columns."""
    height, width = rows[0][0].shape[:2]
    sheet = np.full(
        (_HEADER + len(rows) * (height + _MARGIN), 3 * width + 4 * _MARGIN, 3), _PAPER, dtype=np.uint8
    )
    for column, title in enumerate(_TITLES):
        left = _MARGIN + column * (width + _MARGIN)
        place = (left, _HEADER - 15)
        cv2.putText(sheet, title, place, FONT, width / 900, _INK, 1, cv2.LINE_AA)
        for row, pictures in enumerate(rows):
            top = _HEADER + row * (height + _MARGIN)
            sheet[top : top + height, left : left + width] = pictures[column]
    return sheet
