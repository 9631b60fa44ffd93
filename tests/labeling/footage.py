"""A small conveyor scene as frames and exemplars."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pycocotools import mask as rle

from edgeloop.edge.host.image_bytes import decode_image
from edgeloop.edge.synth import Scene
from edgeloop.labeling.inputs.plan import LabelPlan
from edgeloop.labeling.job import LabelReport, label_frames
from edgeloop.models.boxes import xyxy_to_xywh

INDICES = range(0, 24 * 60, 60)
DRAWN = range(0, 10 * 60, 120)
BROKEN = "frame_0660.jpg"


@dataclass(frozen=True)
class Footage:
    """Frames of a scene on disk, one of them cut off, and the boxes of five of them."""

    scene: Scene
    frames: Path
    exemplars: Path


@dataclass(frozen=True)
class Labeled:
    """The footage, labeled with nano."""

    footage: Footage
    dataset: Path
    report: LabelReport

    @property
    def coco(self) -> dict[str, Any]:
        """Content of instances.json."""
        content: dict[str, Any] = json.loads((self.dataset / "instances.json").read_text())
        return content


@dataclass(frozen=True)
class Learned:
    """Unfinished work that has learned for moments from the footage's exemplars, and not labeled."""

    folder: Path

    def go_on(self, plan: LabelPlan) -> LabelPlan:
        """Let a job with these exemplars go on from here."""
        shutil.copytree(self.folder, plan.out.with_name(f"{plan.out.name}.unfinished"))
        return plan


def tree(folder: Path) -> dict[str, bytes]:
    """Content of all files by their path within a folder."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def scene_coco(scene: Scene, indices: range) -> dict[str, Any]:
    """Ground truth of a scene's frames as COCO, every second object with a mask; image ids are indices."""
    coco: dict[str, Any] = {
        "images": [{"id": index, "file_name": f"frame_{index:04d}.jpg"} for index in indices],
        "categories": [{"id": number, "name": name} for number, name in enumerate(scene.classes)],
        "annotations": [],
    }
    for index in indices:
        truth = scene.truth(index)
        rows = zip(xyxy_to_xywh(truth.xyxy).tolist(), truth.class_id.tolist(), truth.masks, strict=True)
        for place, (box, class_id, mask) in enumerate(rows):
            annotation = {"image_id": index, "category_id": class_id, "bbox": box}
            if place % 2 == 0:
                runs = rle.encode(np.asfortranarray(mask, np.uint8))
                annotation["segmentation"] = {"size": runs["size"], "counts": runs["counts"].decode()}
            coco["annotations"].append(annotation)
    return coco


def break_off(plan: LabelPlan, monkeypatch: pytest.MonkeyPatch, *, after: int) -> None:
    """Label until so many frames were read, and be interrupted at the next."""
    frames_left = iter(range(after))

    def decode_or_stop(data: bytes, name: str) -> object:
        if next(frames_left, None) is None:
            raise KeyboardInterrupt
        return decode_image(data, name)

    with monkeypatch.context() as interrupted:
        interrupted.setattr("edgeloop.labeling.label_job.decode_image", decode_or_stop)
        with pytest.raises(KeyboardInterrupt):
            label_frames(replace(plan, workers=1))


def write_gray_frames(folder: Path, side: int) -> Path:
    """Write four gray frames of `side` px to frames/, and exemplars.json with a box on the last one."""
    frames = folder / "frames"
    frames.mkdir()
    for number in range(4):
        cv2.imwrite(str(frames / f"{number}.png"), np.full((side, side, 3), 50 * number, np.uint8))
    drawn = [{"id": 1, "image_id": 3, "category_id": 1, "bbox": [10, 20, 40, 40]}]
    images = [{"id": 3, "file_name": "3.png", "width": side, "height": side}]
    coco = {"images": images, "annotations": drawn, "categories": [{"id": 1, "name": "bolt"}]}
    (folder / "exemplars.json").write_text(json.dumps(coco))
    return frames
