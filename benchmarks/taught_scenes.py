"""Scenes of benchmarks: images that `edgeloop label` labels from five, and others with ground truth."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from few_shot_scenes import choose
from scoring import Coco, part
from street_truth import DRAWN, SCORED, read_truth

SCENES = ("fish_tank", "tomatoes", "street", "cows_trough", "aerial_cars")
_PHOTOS = ("tomatoes", "aerial_cars")
_TAUGHT_SHARE, _SCORED_FROM = 0.6, 0.7  # of a film; the frames between are close to both
_HELD_OUT_EVERY = 3  # photos
_MOST_SCORED = 60


@dataclass(frozen=True, eq=False)
class TaughtScene:
    """Images to label and learn from, and others with their ground truth.

    Attributes:
        name: Name of the scene.
        images: Folder of the image files.
        drawn: Ground truth of the exemplar images, which are among the taught ones.
        taught: Ground truth of the images that `edgeloop label` labels, classes of the exemplars only.
        expected: The same of the scored images.
    """

    name: str
    images: Path
    drawn: Coco
    taught: Coco
    expected: Coco

    def label(self, folder: Path, *options: str) -> Path:
        """Label the taught images with `edgeloop label`, unless the folder has the dataset.

        Args:
            folder: Folder for the frames, the exemplars and the dataset.
            options: Further options of the command.

        Returns:
            The dataset; all of its images are in the training part.
        """
        dataset = folder / "dataset"
        if not dataset.is_dir():
            frames = folder / "frames"
            frames.mkdir(parents=True, exist_ok=True)
            for image in self.taught["images"]:
                name = Path(image["file_name"]).name
                shutil.copyfile(self.images / name, frames / name)
            exemplars = folder / "exemplars.json"
            exemplars.write_text(json.dumps(self.drawn))
            command = ["label", str(frames), "-e", str(exemplars), "-o", str(dataset), *options]
            subprocess.run(
                [sys.executable, "-m", "edgeloop", *command, "--val-share", "0", "--gap-share", "0"],
                check=True,
            )
        return dataset


def taught_scenes(data: Path, names: Sequence[str]) -> Iterator[TaughtScene]:
    """Divide scenes of DATA: films by time, of photos every third is scored."""
    for name in names:
        if name == "street":
            # Exemplars as in all benchmarks of the street; its pedestrians are not all in the ground truth.
            truth, images = read_truth(data / name), data / name / "images"
            truth = part(truth, range(len(truth["images"])), SCORED)
            drawn: Sequence[int] = DRAWN
        else:
            images = data / "scenes" / name / "images"
            truth, drawn = json.loads((images.parent / "instances.json").read_text()), ()
        ids = [image["id"] for image in truth["images"]]
        if name in _PHOTOS:
            scored = ids[_HELD_OUT_EVERY - 1 :: _HELD_OUT_EVERY]
            taught = [each for each in ids if each not in set(scored)]
        else:
            taught, scored = ids[: int(_TAUGHT_SHARE * len(ids))], ids[int(_SCORED_FROM * len(ids)) :]
        drawn = drawn or choose(chosen_part(truth, taught))
        exemplars = chosen_part(truth, drawn)
        shown = {each["category_id"] for each in exemplars["annotations"]}
        expected = chosen_part(truth, scored[:: -(-len(scored) // _MOST_SCORED)], shown)
        yield TaughtScene(name, images, exemplars, chosen_part(truth, taught, shown), expected)


def chosen_part(truth: Coco, ids: Sequence[int], categories: set[int] | None = None) -> Coco:
    """Select the ground truth of some images, and of some of the categories if they are given."""
    wanted = set(ids)
    kept = {each["id"] for each in truth["categories"]} if categories is None else categories
    return {
        "images": [each for each in truth["images"] if each["id"] in wanted],
        "categories": [each for each in truth["categories"] if each["id"] in kept],
        "annotations": [
            each
            for each in truth["annotations"]
            if each["image_id"] in wanted and each["category_id"] in kept
        ],
    }
