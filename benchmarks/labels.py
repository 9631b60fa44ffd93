"""Quality of labels by kind of exemplars, per class, against ground truth.

    python benchmarks/labels.py street ../shared/data/street boxes moving --every 4
    python benchmarks/labels.py conveyor boxes crops --seeds 11 12 13

Each argument is a kind of exemplars, and labels the same frames once: a real street (street_truth.py), or the
built-in conveyor, by seed.

- `boxes`: on five frames;
- `moving` (street): none, but `--classes moving`. "all" is scored against all tracks that ever move, "now"
  against boxes that move at the time. People on the sidewalk are not in the ground truth, so boxes around
  them count as wrong;
- `crops` (conveyor): the exemplars cut out.

Rates leave out the training on the exemplars.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import cv2

from edgeloop.edge.cli.progress import progress_bar
from edgeloop.edge.demo.call_verb import call_verb
from edgeloop.edge.demo.scene_truth import scene_coco, write_exemplars
from edgeloop.edge.synth import Scene, open_scene
from edgeloop.labeling.inputs.plan import LabelPlan
from edgeloop.labeling.job import label_frames
from report import add_write_option, publish
from scoring import Coco, class_names, groups_of, labels_of, number_of, part, score_table, scores
from street_truth import (
    DRAWN,
    LABELED,
    MOVING,
    SCORED,
    copy_frames,
    moving_part,
    read_truth,
)
from street_truth import write_exemplars as write_street_exemplars

BOXES, CROPS = "boxes", "crops"
CONVEYOR_FRAMES, CONVEYOR_STEP = 240, 20  # those of `edgeloop demo`

Figures = dict[str, dict[str, float]]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(dest="scene", required=True)
    street = verbs.add_parser("street")
    street.add_argument("street", type=Path, help="Folder with images/ and instances.json.")
    street.add_argument("kinds", nargs="+", choices=(BOXES, MOVING), help="Kinds of exemplars.")
    conveyor = verbs.add_parser("conveyor")
    conveyor.add_argument("kinds", nargs="+", choices=(BOXES, CROPS), help="Kinds of exemplars.")
    conveyor.add_argument("--seeds", type=int, nargs="+", default=[11, 12, 13], help="Scenes to label.")
    for name, verb in verbs.choices.items():
        verb.add_argument("--every", type=int, default=1, help="Label only every N-th frame.")
        verb.add_argument("--out", type=Path, help="New folder for all results. Default: a temporary one.")
        add_write_option(verb, f"labels-{name}")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        out: Path = arguments.out or Path(temporary)
        report = (_street if arguments.scene == "street" else _conveyor)(arguments, out)
    publish(arguments.write, score_table(report))


def _street(arguments: argparse.Namespace, out: Path) -> dict[str, Figures]:
    truth = read_truth(arguments.street)
    frames = copy_frames(arguments.street, out / "frames", sorted({*LABELED[:: arguments.every], *DRAWN}))
    exemplars = write_street_exemplars(truth, out / "exemplars.json")
    report = {}
    for kind in arguments.kinds:
        dataset = out / kind
        if kind == MOVING:
            speed = _label(frames, None, dataset)
            indices, labels = labels_of(dataset, ())
            figures = _moving_figures(truth, indices, labels)
        else:
            speed = _label(frames, exemplars, dataset)
            indices, labels = labels_of(dataset, DRAWN)
            figures = _figures(part(truth, indices, SCORED), labels, dataset)
        report[f"{kind}, {speed:.2f} frames/s"] = figures
    return report


def _moving_figures(truth: Coco, indices: set[int], labels: list[Coco]) -> Figures:
    return {
        name: scores(moving_part(truth, indices, now=now), labels, {MOVING: [MOVING]})[MOVING]
        for name, now in (("all", False), ("now", True))
    }


def _conveyor(arguments: argparse.Namespace, out: Path) -> dict[str, Figures]:
    report: dict[str, Figures] = {}
    for seed in arguments.seeds:
        own = out / f"seed{seed}"
        frames, scene = _collect(seed, (640, 480), CONVEYOR_FRAMES // arguments.every, arguments.every, own)
        write_exemplars(scene, frames, own / "exemplars.json", count=len(DRAWN))
        drawn = {number_of(i) for i in json.loads((own / "exemplars.json").read_text())["images"]}
        for kind in arguments.kinds:
            dataset = own / kind
            exemplars = own / "exemplars.json"
            speed = _label(frames, _cut(exemplars, frames, own) if kind == CROPS else exemplars, dataset)
            indices, labels = labels_of(dataset, drawn)
            expected = scene_coco(scene, [(f"{index}.jpg", index) for index in sorted(indices)])
            figures = _figures(expected, labels, dataset)
            report[f"seed {seed}: {kind}, {speed:.2f} frames/s"] = figures
    return report


def _collect(seed: int, size: tuple[int, int], count: int, every: int, out: Path) -> tuple[Path, Scene]:
    source = (
        f"synth:conveyor?seed={seed}&size={size[0]}x{size[1]}&step={CONVEYOR_STEP * every}&frames={count}"
    )
    call_verb("collect", source, "-o", out / "frames", "--keep-all")
    return out / "frames", open_scene("conveyor", seed=seed, size=size)


def _cut(exemplars: Path, frames: Path, out: Path) -> Path:
    """Cut the exemplars out into one folder per class."""
    coco = json.loads(exemplars.read_text())
    names = {category["id"]: category["name"] for category in coco["categories"]}
    files = {image["id"]: image["file_name"] for image in coco["images"]}
    for number, annotation in enumerate(coco["annotations"]):
        x, y, w, h = (round(side) for side in annotation["bbox"])
        folder = out / "crops of exemplars" / names[annotation["category_id"]]
        folder.mkdir(parents=True, exist_ok=True)
        image = cv2.imread(str(frames / files[annotation["image_id"]]))
        cv2.imwrite(str(folder / f"{number}.png"), image[max(y, 0) : y + h, max(x, 0) : x + w])
    return out / "crops of exemplars"


def _label(frames: Path, exemplars: Path | None, dataset: Path) -> float:
    """Label without a gap between the splits, whose frames would not be scored; return frames per second."""
    plan = LabelPlan(frames, exemplars, dataset, gap_share=0.0)
    return label_frames(plan, progress=progress_bar).frames_per_s


def _figures(expected: Coco, labels: list[Coco], dataset: Path) -> Figures:
    return scores(expected, labels, groups_of(expected, class_names(dataset)))


if __name__ == "__main__":
    main()
