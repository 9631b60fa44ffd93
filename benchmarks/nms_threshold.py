"""IoU threshold of non-maximum suppression: `python benchmarks/nms_threshold.py ../shared/data --out OUT`.

On each scene of DATA/scenes, on the street and on the conveyor, edgeloop-lite0 learns for `--time-limit`
seconds from the true boxes of the first half of the images. It is scored on the last 30 % at each threshold:
precision, recall and F1 of the boxes with a score of 0.25 or more, mAP of all.

OUT is reused: a training with a result, OUT/SCENE-SEED/result.json, is not repeated.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from edgeloop.edge.cli.progress import progress
from edgeloop.edge.host.opencv import require_image
from edgeloop.edge.scoring.coco import coco_results, evaluate_boxes, precision_recall
from edgeloop.export.learn.validation import detect
from edgeloop.export.train.load_trained import load_trained
from edgeloop.export.train.run_record import read_record
from edgeloop.export.train.training import train_detector
from edgeloop.export.train_options import TrainOptions
from edgeloop.models.boxes import nms
from edgeloop.models.detections import Detections
from few_shot_scenes import Scene, conveyor, few_shot_scenes
from report import Table, add_write_option, publish
from scoring import Coco

USUAL = "0.7"
THRESHOLDS = (USUAL, "0.6", "0.5", "0.45", "0.4")
FIGURES = ("precision", "recall", "F1", "mAP50", "mAP50-95")
_SHOWN = (USUAL, "0.5")
_SHARES = (0.5, 0.7)  # of the images: the end of the training part, and of the validation part
_CONFIDENCE, _LOWEST, _MAX_BOXES = 0.25, 0.001, 300
_FOUND_IOU, _MAX_FOUND = 0.95, 3000  # of what the thresholds are applied to

Scores = Mapping[str, Mapping[str, float]]
"""Figures by threshold and name."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="Folder with scenes/ and street/.")
    parser.add_argument("-o", "--out", type=Path, required=True, help="Folder for all results.")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="Random seeds.")
    parser.add_argument("--time-limit", type=float, default=60, help="Seconds of each training.")
    add_write_option(parser, "nms-threshold")
    arguments = parser.parse_args()
    scenes = [*map(_in_time, few_shot_scenes(arguments.data)), _in_time(conveyor(arguments.out / "conveyor"))]
    results: dict[str, list[Scores]] = {scene.name: [] for scene, _ in scenes}
    for seed in arguments.seeds:
        for scene, val in scenes:
            folder = arguments.out / f"{scene.name}-{seed}"
            if not (folder / "result.json").is_file():
                _train_and_score(folder, scene, val, seed, arguments.time_limit)
            results[scene.name].append(json.loads((folder / "result.json").read_text()))
    note = (
        f"Means over the seeds; precision, recall and F1 of boxes with a score of {_CONFIDENCE} or more. "
        f"Gains are over {USUAL}, case by case: a scene and a seed."
    )
    publish(arguments.write, scene_table(results), gain_table(results), note=note)


def _in_time(scene: Scene) -> tuple[Scene, Sequence[int]]:
    """Divide a scene in the order of its images; the second are those of the validation part."""
    images = [image["id"] for image in scene.truth["images"]]
    first, second = (int(share * len(images)) for share in _SHARES)
    return replace(scene, train=images[:first], scored=images[second:]), images[first:second]


def _train_and_score(folder: Path, scene: Scene, val: Sequence[int], seed: int, limit_s: float) -> None:
    run = folder / "run"
    if not run.is_dir():
        dataset = scene.write_dataset(folder / "dataset", val=val)
        train_detector(dataset, run, TrainOptions(seed=seed, time_limit_s=limit_s))
    expected, found_in = _of_classes(scene), _detect(run, scene)
    scores: dict[str, dict[str, float]] = {}
    for threshold in THRESHOLDS:
        rows = list(_rows(found_in, scene, read_record(run).names, float(threshold)))
        counts = precision_recall(expected, rows, confidence=_CONFIDENCE)
        found = evaluate_boxes(expected, rows)
        harmonic = 2 * counts.matched / (counts.predicted + counts.truths)
        values = (counts.precision, counts.recall, harmonic, found.map50, found.map50_95)
        scores[threshold] = dict(zip(FIGURES, values, strict=True))
    (folder / "result.json").write_text(json.dumps(scores) + "\n")


def _of_classes(scene: Scene) -> Coco:
    """Ground truth of the scored images, of the classes that were learned."""
    known = set(scene.classes.values())
    expected = scene.expected
    return {
        "images": expected["images"],
        "categories": [each for each in expected["categories"] if each["id"] in known],
        "annotations": [each for each in expected["annotations"] if each["category_id"] in known],
    }


def _detect(run: Path, scene: Scene) -> dict[int, Detections]:
    """Detect in all scored images, by image id; of boxes that are all but the same, the surest stays."""
    record = read_record(run)
    detector = load_trained(run, record).module
    found = {}
    for image in progress(scene.expected["images"], "Detecting"):
        pixels = require_image(scene.images / Path(image["file_name"]).name)
        found[image["id"]] = detect(
            detector, pixels, record.imgsz, confidence=_LOWEST, max_detections=_MAX_FOUND, iou=_FOUND_IOU
        )
    return found


def _rows(found: Mapping[int, Detections], scene: Scene, names: Sequence[str], iou: float) -> Iterator[Coco]:
    categories = [scene.classes[name] for name in names]
    for image, own in found.items():
        kept = own[nms(own.xyxy, own.confidence, own.class_id, iou, limit=_MAX_BOXES)]
        for row in coco_results(image, kept):
            yield {**row, "category_id": categories[row["category_id"]]}


def scene_table(results: Mapping[str, Sequence[Scores]]) -> Table:
    """Build the table of the scenes, at the usual threshold and at that of our bundles."""
    header = ("scene", *(f"{figure} at {threshold}" for figure in FIGURES for threshold in _SHOWN))
    rows = [
        (
            scene,
            *(
                f"{statistics.mean(case[threshold][figure] for case in cases):.3f}"
                for figure in FIGURES
                for threshold in _SHOWN
            ),
        )
        for scene, cases in results.items()
    ]
    return Table("<" + ">" * (len(header) - 1), header, [rows])


def gain_table(results: Mapping[str, Sequence[Scores]]) -> Table:
    """Build the table of the thresholds: medians of the gains, and in how many cases F1 gained or lost."""
    cases = [case for each in results.values() for case in each]
    header = ("threshold", *(f"{figure}, median gain" for figure in FIGURES), "F1 higher", "F1 lower")
    rows = []
    for threshold in THRESHOLDS:
        gains = {
            figure: [case[threshold][figure] - case[USUAL][figure] for case in cases] for figure in FIGURES
        }
        higher, lower = (sum(sign * gain > 0.0005 for gain in gains["F1"]) for sign in (1, -1))
        medians = (f"{statistics.median(gains[figure]):+.3f}" for figure in FIGURES)
        rows.append((threshold, *medians, f"{higher} of {len(cases)}", f"{lower} of {len(cases)}"))
    return Table("<" + ">" * (len(header) - 1), header, [rows])


if __name__ == "__main__":
    main()
