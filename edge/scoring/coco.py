"""Metrics of predicted boxes: COCO's average precision, and precision and recall at one threshold."""

from __future__ import annotations

import contextlib
import io
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.labels.coco_json import is_crowd, object_box
from edgeloop.edge.labels.label_problems import LabelProblems
from edgeloop.models.boxes import iou_matrix, xywh_to_xyxy, xyxy_to_xywh
from edgeloop.models.detections import Detections
from edgeloop.models.errors import DataError, UnavailableError

__all__ = ["ClassScore", "PrecisionRecall", "Scores", "coco_results", "evaluate_boxes", "precision_recall"]

Json = Mapping[str, Any]

_COCO_BOXES = 100


@dataclass(frozen=True, slots=True)
class ClassScore:
    """Average precision of one class.

    Attributes:
        map50: At IoU 0.5, in [0, 1].
        map50_95: Mean over IoU 0.5 to 0.95.
        truths: Number of objects in the ground truth, without crowds.
    """

    map50: float
    map50_95: float
    truths: int


@dataclass(frozen=True, slots=True)
class Scores:
    """Average precision as COCO defines it.

    Attributes:
        map50: At IoU 0.5, mean over the classes with objects in the ground truth, in [0, 1].
        map50_95: The same, mean over IoU 0.5 to 0.95.
        per_class: Scores of the classes with objects in the ground truth, by name.
    """

    map50: float
    map50_95: float
    per_class: Mapping[str, ClassScore]


@dataclass(frozen=True, slots=True)
class PrecisionRecall:
    """Counts at one confidence threshold.

    Attributes:
        matched: Number of predictions that match an object of their class, each object at most once.
        predicted: Number of predictions that reach the threshold.
        truths: Number of objects in the ground truth.
    """

    matched: int
    predicted: int
    truths: int

    @property
    def precision(self) -> float:
        """Share of the predictions that match, in [0, 1]; 0 without predictions."""
        return self.matched / self.predicted if self.predicted else 0.0

    @property
    def recall(self) -> float:
        """Share of the objects that are matched, in [0, 1]; 0 without objects."""
        return self.matched / self.truths if self.truths else 0.0


def coco_results(image_id: int, found: Detections) -> list[dict[str, Any]]:
    """Convert the detections in an image to COCO results: `category_id` is the class id, `bbox` xywh."""
    columns = xyxy_to_xywh(found.xyxy), found.class_id, found.confidence
    return [
        {"image_id": image_id, "category_id": class_id, "bbox": bbox, "score": score}
        for bbox, class_id, score in zip(*(column.tolist() for column in columns), strict=True)
    ]


def evaluate_boxes(
    truth: Json,
    predictions: Iterable[Json],
    *,
    categories: Sequence[str] | None = None,
    max_boxes: int | None = None,
) -> Scores:
    """Score predicted boxes with pycocotools.

    Args:
        truth: COCO dataset: images, categories, annotations with bbox xywh in pixels, or a segmentation.
            Only its `images` are scored; a label that is given twice counts once.
        predictions: COCO results: image_id, category_id, bbox xywh in pixels, score.
        categories: Names of the classes to score; None for all.
        max_boxes: Maximum number of predictions that count per image and class, the most confident ones;
            None for 100, as COCO counts, or as many as an image has objects of a class if these are more.

    Returns:
        The scores.

    Raises:
        DataError: A prediction is of an image or class that the ground truth does not have, a name in
            `categories` is unknown, or there is no object to score against.
        UnavailableError: pycocotools is not installed.
    """
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError as error:
        raise UnavailableError("scoring needs pycocotools; pip install 'edgeloop[label]'") from error
    names = _class_names(truth, categories)
    objects = _objects(truth, names)
    if not any(not annotation["iscrowd"] for annotation in objects):
        raise DataError("nothing to score against: the ground truth has no object of these classes")
    found = _found(predictions, truth, names)
    layout = {"images": truth["images"], "categories": [{"id": n, "name": name} for n, name in names.items()]}
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools reports its progress with print
        evaluation = COCOeval(_indexed(COCO(), layout, objects), _indexed(COCO(), layout, found), "bbox")
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluation.params.maxDets = [max_boxes or max(_COCO_BOXES, _most_of_a_class(objects))]
        evaluation.evaluate()
        evaluation.accumulate()
    # (IoU thresholds, recall thresholds, classes), -1 for a class without objects in the ground truth
    precision = evaluation.eval["precision"][:, :, :, 0, 0]
    counts = [sum(a["category_id"] == n and not a["iscrowd"] for a in objects) for n in sorted(names)]
    per_class = {
        names[number]: ClassScore(
            float(precision[0, :, k].mean()), float(precision[:, :, k].mean()), counts[k]
        )
        for k, number in enumerate(sorted(names))
        if counts[k]
    }
    return Scores(
        map50=float(np.mean([score.map50 for score in per_class.values()])),
        map50_95=float(np.mean([score.map50_95 for score in per_class.values()])),
        per_class=per_class,
    )


def _most_of_a_class(objects: Iterable[Json]) -> int:
    return max(Counter((each["image_id"], each["category_id"]) for each in objects).values())


def precision_recall(
    truth: Json,
    predictions: Iterable[Json],
    *,
    iou: float = 0.5,
    confidence: float = 0.0,
    categories: Sequence[str] | None = None,
) -> PrecisionRecall:
    """Match predicted boxes to objects of their class, the most confident first, and count.

    Args:
        truth: COCO dataset, as for `evaluate_boxes`.
        predictions: COCO results, as for `evaluate_boxes`.
        iou: Minimum IoU of a match.
        confidence: Minimum score of a prediction.
        categories: Names of the classes to score; None for all.

    Returns:
        The counts over all classes. Objects marked `iscrowd` do not count, nor do predictions on them.

    Raises:
        DataError: A prediction is of an image or class that the ground truth does not have, or a name in
            `categories` is unknown.
    """
    names = _class_names(truth, categories)
    objects: dict[tuple[int, int], list[Json]] = defaultdict(list)
    for annotation in _objects(truth, names):
        objects[annotation["image_id"], annotation["category_id"]].append(annotation)
    found: dict[tuple[int, int], list[Json]] = defaultdict(list)
    for prediction in _found(predictions, truth, names):
        if prediction["score"] >= confidence:
            found[prediction["image_id"], prediction["category_id"]].append(prediction)
    matched = predicted = truths = 0
    for key in objects.keys() | found.keys():
        counts = _match(objects[key], found[key], iou)
        matched, predicted, truths = matched + counts[0], predicted + counts[1], truths + counts[2]
    return PrecisionRecall(matched, predicted, truths)


def _match(objects: list[Json], found: list[Json], iou: float) -> tuple[int, int, int]:
    """Numbers of matched, predicted and true boxes of one class in one image."""
    order = sorted(found, key=lambda prediction: -prediction["score"])
    crowd = np.array([bool(annotation["iscrowd"]) for annotation in objects], bool)
    free = ~crowd
    matched = on_crowd = 0
    for row in iou_matrix(_xyxy(order), _xyxy(objects)):
        candidates = np.where(free, row, -1)
        if free.any() and candidates.max() >= iou:
            free[candidates.argmax()] = False
            matched += 1
        elif (row[crowd] >= iou).any():
            on_crowd += 1
    return matched, len(order) - on_crowd, int((~crowd).sum())


def _xyxy(boxes: list[Json]) -> NDArray[np.float32]:
    return xywh_to_xyxy(np.array([box["bbox"] for box in boxes], np.float64).reshape(-1, 4))


def _class_names(truth: Json, categories: Sequence[str] | None) -> dict[int, str]:
    """Names of the classes to score, by id."""
    names = {category["id"]: category["name"] for category in truth["categories"]}
    if categories is None:
        return names
    unknown = set(categories) - set(names.values())
    if unknown:
        raise DataError(f"class '{min(unknown)}': the ground truth has {', '.join(sorted(names.values()))}")
    return {number: name for number, name in names.items() if name in categories}


def _objects(truth: Json, names: Mapping[int, str]) -> list[dict[str, Any]]:
    """Annotations to score, in the form that pycocotools needs: numbered from 1, with an area."""
    images = {image["id"] for image in truth["images"]}
    problems = LabelProblems()
    objects: dict[tuple[Any, ...], None] = {}
    for row, annotation in enumerate(truth["annotations"]):
        if annotation["image_id"] not in images or annotation["category_id"] not in names:
            continue
        place, masks = f"annotations[{row}]", annotation.get("segmentation")
        try:
            bbox = object_box(annotation.get("bbox"), masks)
        except (TypeError, ValueError) as error:
            raise DataError(f"ground truth: {place}: {error}") from error
        crowd = is_crowd(annotation.get("iscrowd"), masks, place, problems)
        key = annotation["image_id"], annotation["category_id"], bbox, int(crowd)
        if min(bbox[2:]) <= 0:
            problems.note("empty_box", place)
        elif key in objects:
            problems.note("duplicate", place)
        else:
            objects[key] = None
    problems.warn("ground truth")
    return [
        {
            "id": number,
            "image_id": image_id,
            "category_id": category_id,
            "bbox": list(bbox),
            "area": bbox[2] * bbox[3],
            "iscrowd": crowd,
        }
        for number, (image_id, category_id, bbox, crowd) in enumerate(objects, start=1)
    ]


def _found(predictions: Iterable[Json], truth: Json, names: Mapping[int, str]) -> list[dict[str, Any]]:
    """Predictions of the classes to score, checked, in the form that pycocotools needs."""
    images = {image["id"] for image in truth["images"]}
    classes = {category["id"] for category in truth["categories"]}
    found: list[dict[str, Any]] = []
    for prediction in predictions:
        if prediction["image_id"] not in images:
            raise DataError(f"prediction of image {prediction['image_id']}: not an image of the ground truth")
        if prediction["category_id"] not in classes:
            raise DataError(
                f"prediction of class {prediction['category_id']}: not a class of the ground truth"
            )
        if prediction["category_id"] in names:
            bbox = prediction["bbox"]
            found.append({**prediction, "id": len(found) + 1, "area": bbox[2] * bbox[3], "iscrowd": 0})
    return found


def _indexed(coco: Any, layout: Json, annotations: list[dict[str, Any]]) -> Any:
    """COCO object with these annotations. `COCO.loadRes` fails without annotations."""
    coco.dataset = {**layout, "annotations": annotations}
    coco.createIndex()
    return coco
