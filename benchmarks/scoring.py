"""Scores of labels and detections against parts of a COCO ground truth."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from edgeloop.edge.scoring.coco import evaluate_boxes, precision_recall
from report import Table

Coco = dict[str, Any]

_COLUMNS = {
    "map50": "mAP50",
    "map50_95": "mAP50-95",
    "precision": "precision",
    "recall": "recall",
    "matched": "right boxes",
    "predicted": "boxes",
    "truths": "objects",
}


def number_of(image: Coco) -> int:
    """Read the frame number from an image's file name."""
    return int(Path(image["file_name"]).stem.rpartition("_")[2])


def part(truth: Coco, indices: Collection[int], names: Sequence[str]) -> Coco:
    """Select some frames and classes of a ground truth; each image's id becomes its frame number."""
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
    """Read the classes of a dataset, in their order."""
    coco = json.loads((dataset / "instances.json").read_text())
    return [category["name"] for category in coco["categories"]]


def labels_of(dataset: Path, drawn: Collection[int]) -> tuple[set[int], list[Coco]]:
    """Read the frames of a dataset without the exemplar frames, and the labels on them.

    Args:
        dataset: Folder that `edgeloop label` wrote.
        drawn: Frame numbers of the exemplars.

    Returns:
        Frame numbers, and labels with the frame number as image_id and the name as category.
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
    """Group the classes of a ground truth: those of the exemplars, all, and each by itself.

    Objects of a class that no exemplar shows count as missed in "all".
    """
    names = {category["id"]: category["name"] for category in expected["categories"]}
    present = {annotation["category_id"] for annotation in expected["annotations"]}
    shown = [name for number, name in names.items() if number in present]
    return {"drawn": [name for name in shown if name in drawn], "all": shown} | {n: [n] for n in shown}


def scores(
    expected: Coco, found: Sequence[Coco], groups: Mapping[str, Sequence[str]], *, confidence: float = 0.0
) -> dict[str, dict[str, float]]:
    """Score boxes for each group of classes.

    Args:
        expected: Ground truth, as `part` makes it.
        found: Boxes with image_id, category (a name), bbox and score.
        groups: Names of the classes of each group.
        confidence: Minimum score of a box in precision and recall.

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


def score_table(report: Mapping[str, Mapping[str, Mapping[str, float]]]) -> Table:
    """Build a table of figures by what was scored and by group of classes."""
    sections = []
    for what, groups in report.items():
        rows = []
        for group, figures in groups.items():
            cells = (figures.get(column, "") for column in _COLUMNS)
            rows.append((what, group, *(f"{c:.3f}" if isinstance(c, float) else str(c) for c in cells)))
        sections.append(rows)
    return Table("<<" + ">" * len(_COLUMNS), ("", "classes", *_COLUMNS.values()), sections)
