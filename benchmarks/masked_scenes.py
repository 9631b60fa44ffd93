"""Scenes of segmentation.py: images to label from five of them, and others, all with true masks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from edgeloop.edge.cli.progress import progress
from edgeloop.edge.scoring.run_lengths import mask_runs
from edgeloop.edge.synth import Scene, open_scene
from edgeloop.models.boxes import xyxy_to_xywh
from edgeloop.models.masks import Masks
from few_shot_scenes import choose
from scoring import Coco
from taught_scenes import TaughtScene, chosen_part

SCENES = ("conveyor", "ycb", "balloons", "feral_cats")
_TAUGHT_SEED, _SCORED_SEED = 7, 8
_TAUGHT, _SCORED, _STEP = 60, 40, 30  # frames of the conveyor; a second apart
_HELD_OUT_EVERY = 3  # photos


def masked_scenes(data: Path, drawn: Path, names: Sequence[str]) -> Iterator[TaughtScene]:
    """Divide scenes: of photos every third is scored, of the conveyor one of another seed.

    Args:
        data: Folder with segments2/NAME/instances.json and images/.
        drawn: Folder in which the conveyor is drawn.
        names: Scenes to divide.
    """
    for name in names:
        if name == "conveyor":
            images, truth, scored = _conveyor(drawn)
        else:
            images = data / "segments2" / name / "images"
            truth = json.loads((images.parent / "instances.json").read_text())
            scored = [image["id"] for image in truth["images"]][_HELD_OUT_EVERY - 1 :: _HELD_OUT_EVERY]
        taught = [image["id"] for image in truth["images"] if image["id"] not in set(scored)]
        exemplars = chosen_part(truth, choose(chosen_part(truth, taught)))
        exemplars["annotations"] = [  # boxes only
            {key: value for key, value in each.items() if key != "segmentation"}
            for each in exemplars["annotations"]
        ]
        shown = {each["category_id"] for each in exemplars["annotations"]}
        yield TaughtScene(
            name, images, exemplars, chosen_part(truth, taught, shown), chosen_part(truth, scored, shown)
        )


def _conveyor(folder: Path) -> tuple[Path, Coco, list[int]]:
    """Draw frames of two conveyors, unless the folder is complete; the second one is to be scored."""
    path = folder / "instances.json"
    if not path.is_file():
        (folder / "images").mkdir(parents=True, exist_ok=True)
        scenes = [open_scene("conveyor", seed=seed) for seed in (_TAUGHT_SEED, _SCORED_SEED)]
        categories = [{"id": number, "name": name} for number, name in enumerate(scenes[0].classes)]
        drawn: Coco = {"images": [], "categories": categories, "annotations": []}
        frames = [(0, number) for number in range(_TAUGHT)] + [(1, number) for number in range(_SCORED)]
        for image_id, (which, number) in enumerate(progress(frames, "Drawing the conveyor")):
            _draw(scenes[which], number * _STEP, image_id, folder / "images", drawn)
        path.write_text(json.dumps(drawn))  # last: it marks the folder as complete
    truth: Coco = json.loads(path.read_text())
    return folder / "images", truth, [image["id"] for image in truth["images"][_TAUGHT:]]


def _draw(scene: Scene, index: int, image_id: int, images: Path, drawn: Coco) -> None:
    name, (width, height) = f"{image_id:03}.jpg", scene.size
    cv2.imwrite(str(images / name), scene.render(index))
    drawn["images"].append({"id": image_id, "file_name": name, "width": width, "height": height})
    truth = scene.truth(index)
    masks = Masks(tuple(truth.masks), np.zeros((len(truth), 2), np.int64), scene.size)
    rows = zip(truth.class_id.tolist(), xyxy_to_xywh(truth.xyxy).tolist(), mask_runs(masks), strict=True)
    for category, box, runs in rows:
        drawn["annotations"].append({
            "id": len(drawn["annotations"]) + 1, "image_id": image_id, "category_id": category, "bbox": box,
            "area": box[2] * box[3], "iscrowd": 0, "segmentation": runs,
        })  # fmt: skip
