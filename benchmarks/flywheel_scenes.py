"""Films of flywheel.py: a part to begin with, a part that the device watches, and a later one to score on.

The real films are the street, and of the four fixed cameras of DATA/scenes those with room for three parts
(150 images or more) whose images follow each other: cows_trough and fish_tank. people_path has 107 images,
and delivery_lot is short bursts over several days. That was decided before anything was measured.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2

from edgeloop.edge.cli.progress import progress
from edgeloop.edge.demo.scene_truth import scene_coco
from edgeloop.edge.synth import open_scene
from few_shot_scenes import choose
from scoring import Coco
from street_truth import read_truth

FRAMES_PER_S = {"conveyor": 30.0, "street": 30.0, "cows_trough": 0.5, "fish_tank": 25.0}
"""Rate of the frame numbers; that of cows_trough is about that of the clock in its images."""

_SEED = 7
_BASE, _STREAM, _TEST = range(0, 1800, 30), range(1800, 3600, 10), range(3900, 5700, 30)  # scene frames
CHANGE = 2700  # half way through the part that the device watches
_STREET_BASE, _STREET_STREAM, _STREET_TEST = range(0, 120, 2), range(120, 300), range(320, 463, 3)
_STREET_CLASSES = ("car", "tram")
_SMALL_BASE, _SMALL_STREAM = 30, 90  # images; the others are scored


@dataclass(frozen=True, eq=False)
class Film:
    """Film with ground truth, in three parts.

    Attributes:
        name: Name of the scene.
        images: Folder of the image files.
        truth: COCO ground truth of all of them.
        base: Ids of the images that the first detector learns from.
        stream: Ids of the images that it watches then, in order of time.
        test: Ids of later images, which are scored.
        frames_per_s: Rate of the frame numbers.
    """

    name: str
    images: Path
    truth: Coco
    base: Sequence[int]
    stream: Sequence[int]
    test: Sequence[int]
    frames_per_s: float

    @property
    def drawn(self) -> Sequence[int]:
        """Ids of the five images of the base on which a person drew boxes."""
        return choose(self.part(self.base))

    @property
    def categories(self) -> dict[int, str]:
        """Names of all classes by category id."""
        return {category["id"]: category["name"] for category in self.truth["categories"]}

    def part(self, ids: Collection[int]) -> Coco:
        """Select the ground truth of some images."""
        wanted = set(ids)
        return {
            "images": [image for image in self.truth["images"] if image["id"] in wanted],
            "categories": self.truth["categories"],
            "annotations": [a for a in self.truth["annotations"] if a["image_id"] in wanted],
        }

    def path(self, image_id: int) -> Path:
        """Path of an image."""
        return self.images / str(self._image(image_id)["file_name"])

    def time_s(self, image_id: int) -> float:
        """Time of an image in seconds."""
        image = self._image(image_id)
        return float(image.get("frame", image_id) / self.frames_per_s)

    def _image(self, image_id: int) -> Coco:
        found: Coco = next(image for image in self.truth["images"] if image["id"] == image_id)
        return found


def open_film(name: str, data: Path, out: Path) -> Film:
    """Open a film; the conveyor is drawn into a folder of OUT."""
    if name == "conveyor":
        return _conveyor(out / "conveyor-film")
    rate = FRAMES_PER_S[name]
    if name == "street":
        truth = read_truth(data / "street")
        kept = {c["id"] for c in truth["categories"] if c["name"] in _STREET_CLASSES}
        street: Coco = {
            "images": [{**image, "id": image["frame"]} for image in truth["images"]],
            "categories": [c for c in truth["categories"] if c["id"] in kept],
            "annotations": [
                {**a, "image_id": a["image_id"] - 1} for a in truth["annotations"] if a["category_id"] in kept
            ],
        }
        images = data / "street" / "images"
        return Film(name, images, street, _STREET_BASE, _STREET_STREAM, _STREET_TEST, rate)
    small: Coco = json.loads((data / "scenes" / name / "instances.json").read_text())
    ids = [image["id"] for image in small["images"]]
    stream_to = _SMALL_BASE + _SMALL_STREAM
    parts = ids[:_SMALL_BASE], ids[_SMALL_BASE:stream_to], ids[stream_to:]
    return Film(name, data / "scenes" / name / "images", small, *parts, rate)


def _conveyor(folder: Path) -> Film:
    """Draw the conveyor, unless the folder is complete."""
    path = folder / "instances.json"
    if not path.is_file():
        scene = open_scene("conveyor", seed=_SEED, change=CHANGE)
        files = [(f"{index:06}.jpg", index) for index in (*_BASE, *_STREAM, *_TEST)]
        (folder / "images").mkdir(parents=True, exist_ok=True)
        for file, index in progress(files, "Drawing the conveyor"):
            cv2.imwrite(str(folder / "images" / file), scene.render(index))
        truth = scene_coco(scene, files)
        path.write_text(json.dumps(truth))  # last: it marks the folder as complete
    return Film(
        "conveyor", folder / "images", json.loads(path.read_text()), _BASE, _STREAM, _TEST,
        FRAMES_PER_S["conveyor"],
    )  # fmt: skip
