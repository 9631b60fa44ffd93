"""A dataset to audit: small pictures, labels whose place tells their number."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edgeloop.labeling.audit.sample import Sample, draw_sample

WIDTH, HEIGHT = 160, 120
PER_FRAME = 5


def write_audited(folder: Path, frames: int = 12, human: int = 1) -> Path:
    """Frames of five labels, classes a and b in turn; a person drew those of the first `human` frames."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    (folder / "images" / "train").mkdir(parents=True)
    for number in range(1, frames + 1):
        name = f"images/train/{number:03d}.png"
        picture = np.full((HEIGHT, WIDTH, 3), (90, 90, 90), np.uint8)
        origin = {"source": "belt.mp4", "frame_index": number, "split": "train"}
        images.append({"id": number, "file_name": name, "width": WIDTH, "height": HEIGHT, **origin})
        for place in range(PER_FRAME):
            x, y = 10 + 30 * place, 50
            cv2.rectangle(picture, (x, y), (x + 19, y + 19), (0, 40 * place + 60, 250), cv2.FILLED)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": 1 + len(annotations) % 2,
                    "bbox": [x, y, 20, 20],
                    "score": 0.5,
                    "prompt": "human" if number <= human else "similar",
                }
            )
        cv2.imwrite(str(folder / name), picture)
    categories = [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]
    coco = {"images": images, "annotations": annotations, "categories": categories, "info": {}}
    (folder / "instances.json").write_text(json.dumps(coco))
    return folder


def drawn(folder: Path, boxes: int = 20, frames: int = 10, seed: int = 0) -> Sample:
    """A sample of such a dataset."""
    return draw_sample(folder, boxes=boxes, frames=frames, seed=seed)
