"""Rows of a COCO dataset and of COCO results, checked, in the form that pycocotools needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from edgeloop.edge.labels.coco_json import is_crowd, object_box
from edgeloop.edge.labels.label_problems import LabelProblems
from edgeloop.models.errors import DataError

__all__ = ["found_rows", "names_by_id", "truth_rows"]

Json = Mapping[str, Any]


def names_by_id(truth: Json, categories: Sequence[str] | None) -> dict[int, str]:
    """Names of the classes to score, by id."""
    names = {category["id"]: category["name"] for category in truth["categories"]}
    if categories is None:
        return names
    unknown = set(categories) - set(names.values())
    if unknown:
        raise DataError(f"class '{min(unknown)}': the ground truth has {', '.join(sorted(names.values()))}")
    return {number: name for number, name in names.items() if name in categories}


def truth_rows(truth: Json, names: Mapping[int, str], *, by_mask: bool = False) -> list[dict[str, Any]]:
    """Annotations to score, in the form that pycocotools needs: numbered from 1, with an area.

    A label that is given twice counts once. `segmentation` is as the dataset has it, or None.

    Args:
        truth: COCO dataset.
        names: Classes to score, by id.
        by_mask: Labels with the same box and different masks are different objects.

    Raises:
        DataError: A label is malformed.
    """
    images = {image["id"] for image in truth["images"]}
    problems = LabelProblems()
    objects: dict[tuple[Any, ...], object] = {}
    for row, annotation in enumerate(truth["annotations"]):
        if annotation["image_id"] not in images or annotation["category_id"] not in names:
            continue
        place, masks = f"annotations[{row}]", annotation.get("segmentation")
        try:
            bbox = object_box(annotation.get("bbox"), masks)
        except (TypeError, ValueError) as error:
            raise DataError(f"ground truth: {place}: {error}") from error
        crowd = is_crowd(annotation.get("iscrowd"), masks, place, problems)
        own = str(masks) if by_mask else ""
        key = annotation["image_id"], annotation["category_id"], bbox, int(crowd), own
        if min(bbox[2:]) <= 0:
            problems.note("empty_box", place)
        elif key in objects:
            problems.note("duplicate", place)
        else:
            objects[key] = masks
    problems.warn("ground truth")
    return [
        {
            "id": number,
            "image_id": image_id,
            "category_id": category_id,
            "bbox": list(bbox),
            "area": bbox[2] * bbox[3],
            "iscrowd": crowd,
            "segmentation": masks,
        }
        for number, ((image_id, category_id, bbox, crowd, _), masks) in enumerate(objects.items(), start=1)
    ]


def found_rows(predictions: Iterable[Json], truth: Json, names: Mapping[int, str]) -> list[dict[str, Any]]:
    """Predictions of the classes to score, checked, in the form that pycocotools needs.

    Raises:
        DataError: A prediction is of an image or class that the ground truth does not have.
    """
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
