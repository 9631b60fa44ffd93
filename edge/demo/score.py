"""Score labels and detector against the ground truth of the scene."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from edgeloop.edge.cli.progress import progress
from edgeloop.edge.demo.scene_truth import scene_coco
from edgeloop.edge.runtime.detector import Detector
from edgeloop.edge.scoring.coco import coco_results, evaluate_boxes, precision_recall
from edgeloop.edge.synth import Scene

__all__ = ["score_detector", "score_labels"]

CocoResult = dict[str, Any]


def score_labels(scene: Scene, dataset: Path, exemplars: Path) -> dict[str, float]:
    """Score the labels of a dataset, without the exemplar frames.

    Args:
        scene: Built-in scene.
        dataset: Folder that `edgeloop label` wrote.
        exemplars: COCO json of the exemplars.

    Returns:
        map50, map50_95, precision and recall of all labels, and the number of frames and boxes.
    """
    coco = json.loads((dataset / "instances.json").read_text())
    drawn = {Path(image["file_name"]).name for image in json.loads(exemplars.read_text())["images"]}
    scored = {
        image["id"]: (image["file_name"], image["frame_index"])
        for image in coco["images"]
        if Path(image["file_name"]).name not in drawn
    }
    class_ids = _class_ids(scene, {c["id"]: c["name"] for c in coco["categories"]})
    labels = [
        {
            "image_id": scored[label["image_id"]][1],
            "category_id": class_ids[label["category_id"]],
            "bbox": label["bbox"],
            "score": label["score"],
        }
        for label in coco["annotations"]
        if label["image_id"] in scored
    ]
    expected = scene_coco(scene, scored.values())
    return {**_scores(expected, labels, confidence=0.0), "frames": len(scored), "boxes": len(labels)}


def score_detector(scene: Scene, bundle: Path, *, start: int, count: int, step: int) -> dict[str, float]:
    """Score an exported bundle on frames later than those it was trained on.

    Args:
        scene: Built-in scene.
        bundle: The `.onnx` file.
        start: First scene index.
        count: Number of frames.
        step: Scene frames from one to the next.

    Returns:
        map50, map50_95, precision and recall at a confidence of 0.25, and the number of frames.
    """
    detector = Detector(bundle, confidence=0.001)
    class_ids = _class_ids(scene, dict(enumerate(detector.names)))
    indices = range(start, start + count * step, step)
    found: list[CocoResult] = []
    for index in progress(indices, "Scoring"):
        results = coco_results(index, detector.detect(scene.render(index)))
        found += [{**result, "category_id": class_ids[result["category_id"]]} for result in results]
    expected = scene_coco(scene, [(str(index), index) for index in indices])
    return {**_scores(expected, found, confidence=0.25), "frames": count}


def _scores(expected: dict[str, Any], found: list[CocoResult], *, confidence: float) -> dict[str, float]:
    scores = evaluate_boxes(expected, found)
    working_point = precision_recall(expected, found, confidence=confidence)
    return {
        "map50": round(scores.map50, 4),
        "map50_95": round(scores.map50_95, 4),
        "precision": round(working_point.precision, 4),
        "recall": round(working_point.recall, 4),
    }


def _class_ids(scene: Scene, names: dict[int, str]) -> dict[int, int]:
    """Map class ids to those of the scene, by name."""
    return {own: scene.classes.index(name) for own, name in names.items()}
