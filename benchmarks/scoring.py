"""What the label benchmarks share: parts of a COCO ground truth, a dataset's labels, and their figures."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from edgeloop.edge.cli.table import table
from edgeloop.edge.scoring.coco import evaluate_boxes, precision_recall

Coco = dict[str, Any]

_COLUMNS = ("map50", "map50_95", "precision", "recall", "matched", "predicted", "truths")


def number_of(image: Coco) -> int:
    """The number in an image's file name, which counts the frames of the footage."""
    return int(Path(image["file_name"]).stem.rpartition("_")[2])


def part(truth: Coco, indices: Collection[int], names: Sequence[str]) -> Coco:
    """The ground truth of some frames and classes; every frame's number becomes its id."""
    wanted = set(indices)
    number = {image["id"]: number_of(image) for image in truth["images"]}
    categories = [category for category in truth["categories"] if category["name"] in names]
    kept = {category["id"] for category in categories}
    return {
        "images": [{**i, "id": number_of(i)} for i in truth["images"] if number_of(i) in wanted],
        "categories": categories,
        "annotations": [
            {**a, "image_id": number[a["image_id"]]}
            for a in truth["annotations"]
            if a["category_id"] in kept and number[a["image_id"]] in wanted
        ],
    }


def class_names(dataset: Path) -> list[str]:
    """The classes of a dataset, in their order."""
    coco = json.loads((dataset / "instances.json").read_text())
    return [category["name"] for category in coco["categories"]]


def labels_of(dataset: Path, drawn: Collection[int]) -> tuple[set[int], list[Coco]]:
    """The frames of a dataset that nobody drew on, by number, and the labels on them.

    Args:
        dataset: Folder that `edgeloop label` wrote.
        drawn: Numbers of the exemplar frames.
    """
    coco = json.loads((dataset / "instances.json").read_text())
    number = {image["id"]: number_of(image) for image in coco["images"]}
    names = {category["id"]: category["name"] for category in coco["categories"]}
    labels = [
        {**label, "image_id": number[label["image_id"]], "category": names[label["category_id"]]}
        for label in coco["annotations"]
        if number[label["image_id"]] not in drawn
    ]
    return set(number.values()) - set(drawn), labels


def groups_of(expected: Coco, drawn: Sequence[str]) -> dict[str, list[str]]:
    """What to score of a ground truth: the classes that were drawn, all, and each that it shows.

    A class that no exemplar shows counts as missed in "all".
    """
    names = {category["id"]: category["name"] for category in expected["categories"]}
    present = {annotation["category_id"] for annotation in expected["annotations"]}
    shown = [name for number, name in names.items() if number in present]
    return {"drawn": [name for name in shown if name in drawn], "all": shown} | {n: [n] for n in shown}


def scores(
    expected: Coco, found: Sequence[Coco], groups: Mapping[str, Sequence[str]], *, confidence: float = 0.0
) -> dict[str, dict[str, float]]:
    """Figures for each group of classes.

    Args:
        expected: Ground truth, as `part` makes it.
        found: Boxes with image_id, category (a name), bbox and score.
        groups: Names of the classes of each group.
        confidence: What boxes must reach to count in precision and recall.

    Returns:
        By group: map50, map50_95, precision, recall, and the counts of right boxes, boxes and objects.
    """
    ids = {category["name"]: category["id"] for category in expected["categories"]}
    results = [
        {
            "image_id": f["image_id"],
            "category_id": ids[f["category"]],
            "bbox": f["bbox"],
            "score": f["score"],
        }
        for f in found
    ]
    figures = {}
    for group, names in groups.items():
        average = evaluate_boxes(expected, results, categories=names)
        working = precision_recall(expected, results, confidence=confidence, categories=names)
        figures[group] = {
            "map50": round(average.map50, 4),
            "map50_95": round(average.map50_95, 4),
            "precision": round(working.precision, 4),
            "recall": round(working.recall, 4),
            "matched": working.matched,
            "predicted": working.predicted,
            "truths": working.truths,
        }
    return figures


def print_scores(report: Mapping[str, Mapping[str, Mapping[str, float]]]) -> None:
    """One table of what was scored, its groups of classes, and their figures."""
    sections = []
    for what, groups in report.items():
        rows = []
        for group, figures in groups.items():
            cells = (figures.get(column, "") for column in _COLUMNS)
            rows.append((what, group, *(f"{c:.3f}" if isinstance(c, float) else str(c) for c in cells)))
        sections.append(rows)
    print(table("<<" + ">" * len(_COLUMNS), ("what", "classes", *_COLUMNS), *sections))
