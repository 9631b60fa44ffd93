"""Ground truth of a scene as COCO, for exemplars and for scoring."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from edgeloop.edge.synth import Scene
from edgeloop.models.boxes import xyxy_to_xywh

__all__ = ["collected_frames", "scene_coco", "write_exemplars"]

Coco = dict[str, Any]


def scene_coco(scene: Scene, images: Iterable[tuple[str, int]]) -> Coco:
    """Write the ground truth of some frames as COCO.

    Args:
        scene: Built-in scene.
        images: File name and scene index of each frame. The index becomes the COCO image id.

    Returns:
        A COCO dictionary; category ids are the scene's class ids.
    """
    width, height = scene.size
    coco: Coco = {
        "images": [],
        "annotations": [],
        "categories": [{"id": i, "name": name} for i, name in enumerate(scene.classes)],
    }
    for file_name, index in images:
        coco["images"].append({"id": index, "file_name": file_name, "width": width, "height": height})
        truth = scene.truth(index)
        for box, class_id in zip(xyxy_to_xywh(truth.xyxy).tolist(), truth.class_id.tolist(), strict=True):
            coco["annotations"].append(
                {
                    "id": len(coco["annotations"]) + 1,
                    "image_id": index,
                    "category_id": class_id,
                    "bbox": box,
                    "area": box[2] * box[3],
                    "iscrowd": 0,
                }
            )
    return coco


def collected_frames(frames: Path) -> list[tuple[str, int]]:
    """Read the file name and scene index of each frame that `edgeloop collect` kept."""
    lines = (frames / "frames.jsonl").read_text().splitlines()
    return [(entry["file"], entry["index"]) for entry in map(json.loads, lines)]


def write_exemplars(scene: Scene, frames: Path, path: Path, *, count: int) -> None:
    """Write the boxes that a person would draw: all objects on a few frames from the first half.

    The first half is split evenly in time, and the frame with most objects is taken from each part.

    Args:
        scene: Built-in scene.
        frames: Folder of collected frames.
        path: COCO json to write.
        count: Number of frames.
    """
    collected = collected_frames(frames)
    half = collected[: max(count, len(collected) // 2)]
    edges = [len(half) * i // count for i in range(count + 1)]
    parts = [half[a:b] for a, b in itertools.pairwise(edges)]
    chosen = [max(part, key=lambda frame: len(scene.truth(frame[1]))) for part in parts]
    path.write_text(json.dumps(scene_coco(scene, chosen), indent=1))
