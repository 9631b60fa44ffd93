"""The scene's ground truth as COCO, for the person's boxes and for scoring."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from edgeloop.edge.synth import Scene
from edgeloop.models.boxes import xyxy_to_xywh

__all__ = ["SceneTruth", "collected_frames", "write_exemplars"]

Coco = dict[str, Any]


class SceneTruth:
    """Ground truth of a scene, by frame index."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene

    def coco(self, images: Iterable[tuple[str, int]]) -> Coco:
        """Boxes of some frames.

        Args:
            images: File name and scene index of each frame. The index becomes the COCO image id.

        Returns:
            A COCO dictionary; category ids are the scene's class ids.
        """
        width, height = self.scene.size
        coco: Coco = {
            "images": [],
            "annotations": [],
            "categories": [{"id": i, "name": name} for i, name in enumerate(self.scene.classes)],
        }
        for file_name, index in images:
            coco["images"].append({"id": index, "file_name": file_name, "width": width, "height": height})
            truth = self.scene.truth(index)
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
    """File name and scene index of every frame that `edgeloop collect` kept."""
    lines = (frames / "frames.jsonl").read_text().splitlines()
    return [(entry["file"], entry["index"]) for entry in map(json.loads, lines)]


def write_exemplars(truth: SceneTruth, frames: Path, path: Path, *, count: int) -> None:
    """Draw the boxes that a person would draw: all objects of a few frames from the first half.

    Frames are taken one after the other from the time line, evenly, and of the neighbours at each place the
    one that shows most objects, as a person would choose.

    Args:
        truth: Of the scene.
        frames: Folder of collected frames.
        path: COCO json to write.
        count: How many frames.
    """
    collected = collected_frames(frames)
    chosen = [_busiest(truth, part) for part in _parts(collected[: max(count, len(collected) // 2)], count)]
    path.write_text(json.dumps(truth.coco(chosen), indent=1))


def _parts(items: Sequence[tuple[str, int]], count: int) -> list[Sequence[tuple[str, int]]]:
    edges = [len(items) * i // count for i in range(count + 1)]
    return [items[a:b] for a, b in itertools.pairwise(edges)]


def _busiest(truth: SceneTruth, part: Sequence[tuple[str, int]]) -> tuple[str, int]:
    return max(part, key=lambda item: len(truth.scene.truth(item[1])))
