"""Scenes of the training benchmark: footage with ground truth, divided into training and scored images."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import yaml

from edgeloop.edge.cli.progress import progress
from edgeloop.edge.synth import Truth, open_scene
from edgeloop.models.boxes import xyxy_to_xywh
from scoring import Coco, part
from street_truth import DRAWN, LABELED, UNSEEN_FROM, read_truth

_EXEMPLARS = 5
_STREET_CLASSES = ("car", "tram")
_CONVEYOR_SEED = 7
_STEP = 30  # scene frames, at 30 per second
_CONVEYOR_TRAIN = range(0, 180 * _STEP, _STEP)
_CONVEYOR_SCORED = range(108_000, 108_000 + 60 * _STEP, _STEP)


@dataclass(frozen=True, eq=False)
class Scene:
    """Footage with ground truth, divided into training and scored images.

    Attributes:
        name: Name of the scene.
        images: Folder of the image files.
        truth: COCO ground truth of the training and the scored images.
        train: Ids of the training images.
        scored: Ids of the scored images.
    """

    name: str
    images: Path
    truth: Coco
    train: Sequence[int]
    scored: Sequence[int]

    @property
    def classes(self) -> dict[str, int]:
        """Category ids of the classes that the training images show, by name."""
        shown = {a["category_id"] for a in self._part(self.train)["annotations"]}
        return {c["name"]: c["id"] for c in self.truth["categories"] if c["id"] in shown}

    @property
    def exemplars(self) -> Coco:
        """Ground truth of the training images."""
        return self._part(self.train)

    @property
    def expected(self) -> Coco:
        """Ground truth of the scored images."""
        return self._part(self.scored)

    def write_dataset(self, folder: Path, *, val: Sequence[int]) -> Path:
        """Write a dataset for `edgeloop train`, images as links.

        Args:
            folder: Folder for the dataset.
            val: Ids of the images of its validation part.
        """
        for split, ids in (("train", self.train), ("val", val)):
            images, labels = folder / "images" / split, folder / "labels" / split
            images.mkdir(parents=True, exist_ok=True)
            labels.mkdir(parents=True, exist_ok=True)
            chosen = self._part(ids)
            for image in chosen["images"]:
                link = images / Path(image["file_name"]).name
                link.unlink(missing_ok=True)
                link.symlink_to((self.images / link.name).resolve())
                own = [a for a in chosen["annotations"] if a["image_id"] == image["id"]]
                (labels / f"{link.stem}.txt").write_text("\n".join(self._lines(image, own)))
        config = {"train": "images/train", "val": "images/val", "names": list(self.classes)}
        (folder / "data.yaml").write_text(yaml.safe_dump(config))
        return folder

    def _part(self, ids: Collection[int]) -> Coco:
        wanted = set(ids)
        return {
            "images": [image for image in self.truth["images"] if image["id"] in wanted],
            "categories": self.truth["categories"],
            "annotations": [a for a in self.truth["annotations"] if a["image_id"] in wanted],
        }

    def _lines(self, image: Coco, annotations: Sequence[Coco]) -> Iterator[str]:
        numbers = {category: number for number, category in enumerate(self.classes.values())}
        size = np.array([image["width"], image["height"]])
        for annotation in annotations:
            if annotation["category_id"] in numbers:
                corner, extent = np.split(np.array(annotation["bbox"]), 2)
                near, far = np.clip(corner / size, 0, 1), np.clip((corner + extent) / size, 0, 1)
                shares = (*(near + far) / 2, *(far - near))
                yield f"{numbers[annotation['category_id']]} {' '.join(f'{share:.6f}' for share in shares)}"


def few_shot_scenes(data: Path) -> Iterator[Scene]:
    """List the folders of DATA/scenes and the street; five images of each are for training."""
    for path in sorted(data.glob("scenes/*/instances.json")):
        truth: Coco = json.loads(path.read_text())
        yield _divided(path.parent.name, path.parent / "images", truth, choose(truth))
    street = part(read_truth(data / "street"), LABELED, _STREET_CLASSES)
    yield _divided("street", data / "street" / "images", street, DRAWN)


def full_scenes(data: Path, out: Path) -> Iterator[Scene]:
    """List the street and the conveyor, whose images are drawn into a folder of OUT, for a full training."""
    street = read_truth(data / "street")
    unseen = range(UNSEEN_FROM, len(street["images"]))
    truth = part(street, {*LABELED, *unseen}, _STREET_CLASSES)
    yield Scene("street", data / "street" / "images", truth, LABELED, unseen)
    yield conveyor(out / "conveyor")


def choose(truth: Coco, count: int = _EXEMPLARS) -> list[int]:
    """Choose the images to draw boxes on: spread evenly, and every class on one of them if possible.

    Args:
        truth: COCO ground truth, images in order of time.
        count: Number of images.

    Returns:
        Ids of `count` images or fewer, ascending.
    """
    classes: dict[int, set[int]] = {}
    for annotation in truth["annotations"]:
        classes.setdefault(annotation["image_id"], set()).add(annotation["category_id"])
    labeled = [image["id"] for image in truth["images"] if image["id"] in classes]
    chosen = [labeled[round(place)] for place in np.linspace(0, len(labeled) - 1, count + 2)[1:-1]]
    for wanted in sorted(set().union(*classes.values())):
        if any(wanted in classes[image] for image in chosen):
            continue
        # Give up the first image whose classes are all on others, or else the last one.
        spare = [
            image
            for image in chosen
            if classes[image] <= set().union(*(classes[other] for other in chosen if other != image))
        ]
        given_up = spare[0] if spare else chosen[-1]
        chosen[chosen.index(given_up)] = next(image for image in labeled if wanted in classes[image])
    return sorted(set(chosen))


def _divided(name: str, images: Path, truth: Coco, train: Sequence[int]) -> Scene:
    return Scene(name, images, truth, train, [i["id"] for i in truth["images"] if i["id"] not in train])


def conveyor(folder: Path) -> Scene:
    """Draw three minutes of the conveyor and one of an hour later, unless the folder is complete."""
    path = folder / "instances.json"
    if not path.is_file():
        scene = open_scene("conveyor", seed=_CONVEYOR_SEED)
        width, height = scene.size
        categories = [{"id": number, "name": name} for number, name in enumerate(scene.classes)]
        drawn: Coco = {"images": [], "categories": categories, "annotations": []}
        (folder / "images").mkdir(parents=True, exist_ok=True)
        for index in progress([*_CONVEYOR_TRAIN, *_CONVEYOR_SCORED], "Drawing the conveyor"):
            name = f"{index:06}.jpg"
            cv2.imwrite(str(folder / "images" / name), scene.render(index))
            drawn["images"].append({"id": index, "file_name": name, "width": width, "height": height})
            drawn["annotations"] += _annotations(index, scene.truth(index))
        path.write_text(json.dumps(drawn))  # last: it marks the folder as complete
    truth: Coco = json.loads(path.read_text())
    return Scene("conveyor", folder / "images", truth, _CONVEYOR_TRAIN, _CONVEYOR_SCORED)


def _annotations(image_id: int, truth: Truth) -> Iterator[Coco]:
    for category, box in zip(truth.class_id.tolist(), xyxy_to_xywh(truth.xyxy).tolist(), strict=True):
        yield {"image_id": image_id, "category_id": category, "bbox": box}
