"""Errors found by the review queue: `python benchmarks/review.py ../shared/data --out OUT`.

`edgeloop label` labels footage with ground truth from five frames: the conveyor, the street, and three scenes
of DATA/scenes. Errors are wrong labels (no object of that class with IoU >= 0.5, or one that a surer label
has), and missed objects that no wrong label overlaps by IoU >= 0.3. Exemplar frames do not count.

A look is one screen. The queue's look is a sheet of at most 24 look-alikes; a random look is one label or
unsure label drawn at random, as `edgeloop audit` shows them, or one whole random frame, with all errors on
it. Sheets hold more than one crop, so crops are compared too: the first 50 of the queue with 50 at random.
Random looks are expected values, computed, not drawn.

OUT is reused: OUT/NAME/dataset is not labeled again.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from edgeloop.edge.demo.scene_truth import scene_coco
from edgeloop.edge.synth import open_scene
from edgeloop.labeling.inputs.plan import LabelPlan
from edgeloop.labeling.job import label_frames
from edgeloop.labeling.ledger import FrameResult
from edgeloop.labeling.studio.review.doubts import Doubt
from edgeloop.labeling.studio.review.review_queue import Found, Queue, build_queue, read_found
from edgeloop.models.boxes import iou_matrix
from few_shot_scenes import choose
from report import Table, add_write_option, publish
from scoring import Coco, part
from street_truth import DRAWN, SCORED, read_truth

LOOKS = 50
SCENES = ("conveyor", "street", "fish_tank", "tomatoes", "delivery_lot")
_EVERY = {"street": 4, "fish_tank": 2, "delivery_lot": 2}
_CONVEYOR_SEED, _CONVEYOR_FRAMES, _CONVEYOR_STEP = 7, 100, 30
_SAME_IOU, _OF_LABEL_IOU = 0.5, 0.3

Error = tuple[str, str, int]
"""An error: name of the frame, "label" or "object", and its number there."""


@dataclass(frozen=True)
class Errors:
    """Errors of a dataset, and how to find them.

    Attributes:
        found: The labels.
        truth: Objects by frame: class names and boxes float32 (N, 4).
        wrong: Numbers of the wrong labels by frame.
        missed: Numbers of the missed objects by frame.
    """

    found: Found
    truth: dict[str, tuple[list[str], np.ndarray]]
    wrong: dict[str, set[int]]
    missed: dict[str, set[int]]

    @property
    def total(self) -> int:
        """Number of errors."""
        return sum(map(len, self.wrong.values())) + sum(map(len, self.missed.values()))

    def seen(self, doubt: Doubt) -> set[Error]:
        """Errors that a person sees at a doubt."""
        result, box = self.found.results[doubt.file], np.array([doubt.xyxy], np.float32)
        if doubt.kind == "label":
            places = [n for n, own in enumerate(result.labels) if own.xyxy == doubt.xyxy]
            return {(doubt.file, "label", n) for n in places if n in self.wrong[doubt.file]}
        names, boxes = self.truth[doubt.file]
        overlap = iou_matrix(box, boxes)[0]
        return {
            (doubt.file, "object", n)
            for n in self.missed[doubt.file]
            if names[n] == doubt.name and overlap[n] >= _SAME_IOU
        }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="Folder with scenes/ and street/.")
    parser.add_argument("-o", "--out", type=Path, required=True, help="Folder for all results.")
    parser.add_argument("--scenes", nargs="+", choices=SCENES, default=SCENES, help="Scenes to review.")
    add_write_option(parser, "review")
    arguments = parser.parse_args()
    rows = []
    for name in arguments.scenes:
        folder = arguments.out / name
        if not (folder / "dataset").is_dir():
            make_dataset(name, arguments.data, folder)
        errors = find_errors(folder)
        image_of = (folder / "frames").joinpath
        queue = build_queue(errors.found, image_of, folder / "features", lambda *_: None)
        rows.append((name, *measure(errors, queue)))
    header = (
        "scene", "labels", "wrong", "missed", f"{LOOKS} screens", "crops on them",
        f"{LOOKS} random labels", "times", f"{LOOKS} random frames", f"first {LOOKS} crops", "times",
    )  # fmt: skip
    note = (
        "Labels from five frames: wrong ones, and missed objects that no wrong label overlaps. Errors found "
        f"in {LOOKS} screens of the queue, sheets of at most 24 look-alikes; in {LOOKS} random labels or "
        "unsure labels, one a screen, and how many times as many the queue finds; on "
        f"{LOOKS} whole random frames; and in the first {LOOKS} crops of the queue, against as many random "
        "ones. Random looks are expected values."
    )
    table = Table("<" + ">" * (len(header) - 1), header, [rows])
    publish(arguments.write, table, note=note, timed=False)


def measure(errors: Errors, queue: Queue) -> tuple[str, ...]:
    """Row of the table for one scene."""
    frames = [file for file, result in errors.found.results.items() if not result.by_person]
    labels = sum(len(errors.found.results[file].labels) for file in frames)
    everything = [doubt for doubt in errors.found.doubts if doubt.kind != "miss"]
    shown = [queue.doubts[place] for look in queue.looks[:LOOKS] for place in look.doubts]
    one_by_one = [queue.doubts[place] for look in queue.looks for place in look.doubts][:LOOKS]
    found = len(set[Error]().union(*map(errors.seen, shown)))
    per_crop = len(set[Error]().union(*map(errors.seen, one_by_one)))
    at_random = LOOKS * sum(len(errors.seen(doubt)) for doubt in everything) / max(1, len(everything))
    of_frames = errors.total * min(1, LOOKS / len(frames))
    wrong, missed = (sum(map(len, own.values())) for own in (errors.wrong, errors.missed))
    return (
        str(labels), str(wrong), str(missed), str(found), str(len(shown)), f"{at_random:.1f}",
        f"{found / max(at_random, 0.1):.1f}", f"{of_frames:.0f}", str(per_crop),
        f"{per_crop / max(at_random, 0.1):.1f}",
    )  # fmt: skip


def find_errors(folder: Path) -> Errors:
    """Compare a dataset with its ground truth."""
    coco: Coco = json.loads((folder / "truth.json").read_text())
    drawn = {image["file_name"] for image in json.loads((folder / "exemplars.json").read_text())["images"]}
    found = read_found(folder / "dataset")
    names = {category["id"]: category["name"] for category in coco["categories"]}
    files = {image["id"]: image["file_name"] for image in coco["images"]}
    boxes: dict[str, list[tuple[str, list[float]]]] = {file: [] for file in found.results}
    for own in coco["annotations"]:
        if names[own["category_id"]] in found.names:
            x, y, width, height = own["bbox"]
            boxes[files[own["image_id"]]].append((names[own["category_id"]], [x, y, x + width, y + height]))
    truth = {
        file: ([name for name, _ in own], np.array([box for _, box in own], np.float32).reshape(-1, 4))
        for file, own in boxes.items()
    }
    results = {
        file: result.model_copy(update={"by_person": file in drawn}) for file, result in found.results.items()
    }
    found = Found(found.names, results, [own for own in found.doubts if own.file not in drawn])
    wrong, missed = {}, {}
    for file, result in results.items():
        wrong[file], missed[file] = (
            (set(), set()) if result.by_person else _errors_of(result, found.names, *truth[file])
        )
    return Errors(found, truth, wrong, missed)


def _errors_of(
    result: FrameResult, names: Sequence[str], true_names: Sequence[str], true_boxes: np.ndarray
) -> tuple[set[int], set[int]]:
    """Numbers of the wrong labels and of the missed objects of a frame; the surest label takes an object."""
    boxes = np.array([label.xyxy for label in result.labels], np.float32).reshape(-1, 4)
    overlap = iou_matrix(boxes, true_boxes)
    taken: set[int] = set()
    wrong: set[int] = set()
    for number in sorted(range(len(boxes)), key=lambda n: -result.labels[n].score):
        name = names[result.labels[number].class_id]
        free = [
            n
            for n, own in enumerate(true_names)
            if own == name and overlap[number, n] >= _SAME_IOU and n not in taken
        ]
        if free:
            taken.add(max(free, key=lambda n: overlap[number, n]))
        else:
            wrong.add(number)
    beside = {n for number in wrong for n in np.flatnonzero(overlap[number] >= _OF_LABEL_IOU).tolist()}
    return wrong, set(range(len(true_names))) - taken - beside


def make_dataset(name: str, data: Path, folder: Path) -> None:
    """Label a scene from five frames: frames/, exemplars.json, truth.json and dataset/."""
    (folder / "frames").mkdir(parents=True, exist_ok=True)
    if name == "conveyor":
        scene = open_scene("conveyor", seed=_CONVEYOR_SEED)
        indices = range(0, _CONVEYOR_FRAMES * _CONVEYOR_STEP, _CONVEYOR_STEP)
        for index in indices:
            cv2.imwrite(str(folder / "frames" / f"{index:06}.jpg"), scene.render(index))
        truth, images = scene_coco(scene, [(f"{index:06}.jpg", index) for index in indices]), None
        drawn = choose(truth)
    elif name == "street":
        wanted = sorted({*range(0, 325, _EVERY[name]), *DRAWN})
        truth, images = part(read_truth(data / "street"), wanted, SCORED), data / "street" / "images"
        drawn = [*DRAWN]
    else:
        truth = json.loads((data / "scenes" / name / "instances.json").read_text())
        images, drawn = data / "scenes" / name / "images", choose(truth)
        kept = {image["id"] for image in truth["images"][:: _EVERY.get(name, 1)]} | set(drawn)
        truth = _of_images(truth, kept)
    for image in truth["images"]:
        image["file_name"] = Path(image["file_name"]).name
        if images is not None:
            shutil.copyfile(images / image["file_name"], folder / "frames" / image["file_name"])
    (folder / "truth.json").write_text(json.dumps(truth))
    (folder / "exemplars.json").write_text(json.dumps(_of_images(truth, set(drawn))))
    plan = LabelPlan(folder / "frames", folder / "exemplars.json", folder / "dataset", gap_share=0.0)
    label_frames(plan)


def _of_images(coco: Coco, ids: set[int]) -> Coco:
    return {
        **coco,
        "images": [image for image in coco["images"] if image["id"] in ids],
        "annotations": [own for own in coco["annotations"] if own["image_id"] in ids],
    }


if __name__ == "__main__":
    main()
