"""Learning more from a teacher than its boxes: `python benchmarks/distillation.py ../shared/data -o OUT`.

`edgeloop label` labels images of a scene from five of them, a student learns from its labels, and is scored
against ground truth on other images: of films the first 60 % are labeled and the last 30 % scored, of photos
every third is scored. All variants see the same batches for the same number of steps:

plain            as `edgeloop train` learns
weighted         the loss of an object counts by the label's probability
weighted+ignore  also, cells inside unsure labels of review.json do not learn that they are background
soft             sure and unsure labels; the probability scales the class score to learn, and box losses
features         plain, and the neck at stride 16, through a 1x1 convolution, is drawn to the embedding of the
                 segmenter `nano` of the same image (cosine distance)
masks            plain, and a mask branch, which is left out afterwards, learns the masks of the labels
second pass      plain, from labels of a larger student: one of 1.5 times the side learns from the labels as
                 the plain one does, and labels the images again

A variant is worth having if the median of its gains over all pairs of scene and seed is positive, and in two
of three scenes the mean gain is above the scatter: the plain student's standard deviation over the seeds.

OUT is reused: what is labeled is not labeled again, and OUT/SCENE/VARIANT-SEED.json is not repeated, so an
interrupted call continues. The tables show every result in OUT.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from torch import nn

from edgeloop.edge.host.opencv import require_image
from edgeloop.edge.scoring.coco import Scores, coco_results, evaluate_boxes
from edgeloop.export.learn.recipe import Recipe
from edgeloop.export.learn.validation import detect
from report import Table, add_write_option, publish
from scoring import Coco
from taught_labels import TaughtLabels, label_quality, labeled_again, read_labels
from taught_scenes import SCENES, TaughtScene, taught_scenes
from taught_students import (
    PLAIN,
    SECOND,
    TOGETHER,
    VARIANTS,
    second_teacher,
    student_recipe,
    train_students,
)

_CONFIDENCE, _MAX_BOXES = 0.001, 300
_LOWEST = 0.05  # score of a second label


@dataclass(frozen=True)
class Result:
    """Student of one scene, variant and seed.

    Attributes:
        map50: Mean average precision at IoU 0.5, in [0, 1].
        map50_95: The same, mean over IoU 0.5 to 0.95.
        side: Side of its input, px.
        steps: Steps of its training.
    """

    map50: float
    map50_95: float
    side: int
    steps: int


Results = Mapping[str, Mapping[str, Mapping[int, Result]]]
"""Results by scene, variant and seed."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="Folder with scenes/ and street/.")
    parser.add_argument("-o", "--out", type=Path, required=True, help="Folder for all results.")
    parser.add_argument("--scenes", nargs="+", choices=SCENES, default=SCENES[:3])
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=[0, 1, 2], help="Random seeds of the students."
    )
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=VARIANTS)
    parser.add_argument("--steps", type=int, default=300, help="Steps of each training.")
    parser.add_argument("--side", type=int, default=416, help="Largest side of a student's input, px.")
    add_write_option(parser, "distillation")
    arguments = parser.parse_args()
    labeled: list[tuple[TaughtScene, TaughtLabels]] = []
    for scene in taught_scenes(arguments.data, arguments.scenes):
        folder = arguments.out / scene.name
        dataset = scene.label(folder)
        quality = label_quality(dataset, scene.taught, scene.drawn)
        (folder / "labels.json").write_text(json.dumps(quality) + "\n")
        labeled.append((scene, read_labels(dataset)))
    for seed in arguments.seeds:
        for scene, labels in labeled:
            folder = arguments.out / scene.name
            missing = [each for each in arguments.variants if not (folder / f"{each}-{seed}.json").is_file()]
            if missing:
                recipe = student_recipe(labels, seed, arguments.steps, arguments.side)
                measure(scene, labels, missing, recipe, seed, folder)
    results = read_results(arguments.out)
    note = (
        "Labels: of `edgeloop label` from five images, at its default threshold; right: share of the unsure "
        "ones that are. mAP50 of the students by seed; gains over the plain student of the same seed; "
        "scatter: standard deviation of the plain student over the seeds."
    )
    tables = labels_table(arguments.out), scores_table(results), gains_table(results)
    publish(arguments.write, *tables, note=note, timed=False)


def measure(
    scene: TaughtScene, labels: TaughtLabels, variants: Sequence[str], recipe: Recipe, seed: int, folder: Path
) -> None:
    """Train and score students of a scene and seed."""
    together = [variant for variant in variants if variant in TOGETHER]
    students = dict(train_students(labels, together, recipe, seed)) if together else {}
    if SECOND in variants:
        teacher, side = second_teacher(labels, recipe, seed)
        answer = partial(detect, teacher, side=side, confidence=_LOWEST, max_detections=_MAX_BOXES)
        drawn = {Path(image["file_name"]).name for image in scene.drawn["images"]}
        again = labeled_again(labels, answer, drawn)
        students[SECOND] = train_students(again, [PLAIN], recipe, seed)[PLAIN]
    for variant, student in students.items():
        scores = _score(student, scene, labels.names, recipe.side)
        result = Result(round(scores.map50, 4), round(scores.map50_95, 4), recipe.side, recipe.steps or 0)
        (folder / f"{variant}-{seed}.json").write_text(json.dumps(asdict(result)) + "\n")


def _score(student: nn.Module, scene: TaughtScene, names: Sequence[str], side: int) -> Scores:
    number = {each["name"]: each["id"] for each in scene.expected["categories"]}

    def rows() -> Iterator[Coco]:
        for image in scene.expected["images"]:
            pixels = require_image(scene.images / Path(image["file_name"]).name)
            found = detect(student, pixels, side, confidence=_CONFIDENCE, max_detections=_MAX_BOXES)
            for row in coco_results(image["id"], found):
                yield {**row, "category_id": number[names[row["category_id"]]]}

    return evaluate_boxes(scene.expected, rows(), max_boxes=_MAX_BOXES)


def read_results(out: Path) -> Results:
    """Read all results in a folder."""
    results: dict[str, dict[str, dict[int, Result]]] = {}
    for scene in SCENES:
        for variant in VARIANTS:
            for path in sorted((out / scene).glob(f"{variant}-*.json")):
                seed = int(path.stem.rpartition("-")[2])
                found = results.setdefault(scene, {}).setdefault(variant, {})
                found[seed] = Result(**json.loads(path.read_text()))
    return results


def labels_table(out: Path) -> Table:
    """Build the table of the labels: a row per scene."""
    rows = []
    for path in (out / scene / "labels.json" for scene in SCENES):
        if path.is_file():
            told = json.loads(path.read_text())
            rows.append((
                path.parent.name, str(told["labels"]), f"{told['precision']:.3f}", f"{told['recall']:.3f}",
                str(told["unsure"]), f"{told['right']:.3f}",
            ))  # fmt: skip
    return Table("<>>>>>", ("scene", "labels", "precision", "recall", "unsure", "right"), [rows])


def scores_table(results: Results) -> Table:
    """Build the table of the students: a group per scene, a row per variant."""
    seeds = sorted({seed for variants in results.values() for own in variants.values() for seed in own})
    groups = []
    for scene, variants in results.items():
        rows = []
        for variant, own in variants.items():
            plain = variants.get(PLAIN, {})
            by_seed = [f"{own[seed].map50:.3f}" if seed in own else "" for seed in seeds]
            gains = _gains(own, plain, "map50")
            told = [f"{gains[seed]:+.3f}" if seed in gains and variant != PLAIN else "" for seed in seeds]
            means = [
                statistics.mean(getattr(each, name) for each in own.values())
                for name in ("map50", "map50_95")
            ]
            size = ", ".join(sorted({f"{each.side} px, {each.steps} steps" for each in own.values()}))
            rows.append((scene, size, variant, *by_seed, *told, *(f"{mean:.3f}" for mean in means)))
        groups.append(rows)
    header = (
        "scene", "trained", "variant", *(f"seed {seed}" for seed in seeds),
        *(f"gain {seed}" for seed in seeds), "mAP50", "mAP50-95",
    )  # fmt: skip
    return Table("<<<" + ">" * (len(header) - 3), header, [*groups])


def gains_table(results: Results) -> Table:
    """Build the table of the gains over the plain student: a row per variant."""
    rows = []
    for variant in VARIANTS[1:]:
        pairs: dict[str, list[float]] = {"map50": [], "map50_95": []}
        above = scenes = 0
        for variants in results.values():
            plain, own = variants.get(PLAIN, {}), variants.get(variant, {})
            for name, all_gains in pairs.items():
                all_gains += _gains(own, plain, name).values()
            gains = _gains(own, plain, "map50")
            if len(gains) > 1:
                scenes += 1
                scatter = statistics.stdev(plain[seed].map50 for seed in gains)
                above += statistics.mean(gains.values()) > scatter
        if pairs["map50"]:
            middle = [statistics.median(own) for own in pairs.values()]
            better = sum(gain > 0 for gain in pairs["map50"])
            worth = middle[0] > 0 and scenes > 0 and above * 3 >= scenes * 2
            cells = (f"{middle[0]:+.3f}", f"{middle[1]:+.3f}", f"{better} of {len(pairs['map50'])}")
            rows.append((variant, *cells, f"{above} of {scenes}", "yes" if worth else "no"))
    header = (
        "variant", "median gain, mAP50", "mAP50-95", "pairs with a gain", "scenes above the scatter",
        "worth having",
    )  # fmt: skip
    return Table("<>>>><", header, [rows])


def _gains(own: Mapping[int, Result], plain: Mapping[int, Result], name: str) -> dict[int, float]:
    both = sorted(own.keys() & plain.keys())
    return {seed: getattr(own[seed], name) - getattr(plain[seed], name) for seed in both}


if __name__ == "__main__":
    main()
