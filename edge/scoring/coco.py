"""Metrics of predicted boxes and masks: COCO's average precision; precision and recall at one threshold."""

from __future__ import annotations

import contextlib
import io
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.scoring.coco_rows import found_rows, names_by_id, truth_rows
from edgeloop.edge.scoring.run_lengths import compress_runs, load_pycocotools, mask_area, mask_runs
from edgeloop.models.boxes import iou_matrix, xywh_to_xyxy, xyxy_to_xywh
from edgeloop.models.detections import Detections
from edgeloop.models.errors import DataError

__all__ = [
    "ClassScore",
    "PrecisionRecall",
    "Scores",
    "coco_mask_results",
    "coco_results",
    "evaluate_boxes",
    "evaluate_masks",
    "precision_recall",
]

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


def coco_mask_results(image_id: int, found: Detections) -> list[dict[str, Any]]:
    """Convert the detections in an image to COCO results as `coco_results`, and their masks.

    Returns:
        Rows with `segmentation`, too: compressed run lengths, `size` (height, width in pixels) and `counts`.

    Raises:
        ValueError: The detections have no masks.
        UnavailableError: pycocotools is not installed.
    """
    if found.masks is None:
        raise ValueError("coco_mask_results: these detections have no masks")
    rows = coco_results(image_id, found)
    return [{**row, "segmentation": runs} for row, runs in zip(rows, mask_runs(found.masks), strict=True)]


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
    names = names_by_id(truth, categories)
    objects = truth_rows(truth, names)
    _require_one(objects)
    return _average_precision(truth, names, objects, found_rows(predictions, truth, names), "bbox", max_boxes)


def evaluate_masks(
    truth: Json,
    predictions: Iterable[Json],
    *,
    categories: Sequence[str] | None = None,
    max_boxes: int | None = None,
) -> Scores:
    """Score predicted masks with pycocotools: as `evaluate_boxes`, by the IoU of the pixels.

    Labels with the same box and different masks are different objects.

    Args:
        truth: COCO dataset, each annotation with a `segmentation`: polygons in pixels or run lengths.
        predictions: Rows of `coco_mask_results`.
        categories: Names of the classes to score; None for all.
        max_boxes: See `evaluate_boxes`.

    Returns:
        The scores.

    Raises:
        DataError: As `evaluate_boxes`; or a label or prediction has no mask, or one of another size than its
            image.
        UnavailableError: pycocotools is not installed.
    """
    names = names_by_id(truth, categories)
    sizes = {
        image["id"]: (image["width"], image["height"]) for image in truth["images"] if image.get("height")
    }
    rows = truth_rows(truth, names, by_mask=True)
    _require_one(rows)
    objects = _with_runs(rows, sizes, "ground truth")
    for each in objects:
        height, width = each["segmentation"]["size"]
        sizes.setdefault(each["image_id"], (width, height))
    found = _with_runs(found_rows(predictions, truth, names), sizes, "prediction")
    return _average_precision(truth, names, objects, found, "segm", max_boxes)


def _require_one(objects: Iterable[Json]) -> None:
    """Refuse a ground truth without an object to score against."""
    if all(annotation["iscrowd"] for annotation in objects):
        raise DataError("nothing to score against: the ground truth has no object of these classes")


def _with_runs(rows: Iterable[Json], sizes: Mapping[int, tuple[int, int]], what: str) -> list[dict[str, Any]]:
    """Add compressed run lengths and their area to rows."""
    drawn: list[dict[str, Any]] = []
    for row in rows:
        try:
            runs = compress_runs(row.get("segmentation"), sizes.get(row["image_id"]))
        except ValueError as error:
            place = f"{what} {row['id']}, of image {row['image_id']}"
            raise DataError(f"{place}: {error}") from error
        drawn.append({**row, "segmentation": runs, "area": mask_area(runs)})
    return drawn


def _average_precision(
    truth: Json,
    names: Mapping[int, str],
    objects: list[dict[str, Any]],
    found: list[dict[str, Any]],
    kind: Literal["bbox", "segm"],
    max_boxes: int | None,
) -> Scores:
    make_coco, make_evaluation, _ = load_pycocotools()
    # pycocotools asks for the size of an image even where run lengths tell it.
    images = [{"width": 0, "height": 0, **image} for image in truth["images"]]
    layout = {"images": images, "categories": [{"id": n, "name": name} for n, name in names.items()]}
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools reports its progress with print
        evaluation = make_evaluation(
            _indexed(make_coco(), layout, objects), _indexed(make_coco(), layout, found), kind
        )
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
    names = names_by_id(truth, categories)
    objects: dict[tuple[int, int], list[Json]] = defaultdict(list)
    for annotation in truth_rows(truth, names):
        objects[annotation["image_id"], annotation["category_id"]].append(annotation)
    found: dict[tuple[int, int], list[Json]] = defaultdict(list)
    for prediction in found_rows(predictions, truth, names):
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


def _indexed(coco: Any, layout: Json, annotations: list[dict[str, Any]]) -> Any:
    """COCO object with these annotations. `COCO.loadRes` fails without annotations."""
    coco.dataset = {**layout, "annotations": annotations}
    coco.createIndex()
    return coco
