"""Exemplars in a COCO json, as CVAT, Label Studio and Roboflow write it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.host.opencv import require_image
from edgeloop.edge.labels.coco_json import (
    CocoAnnotation,
    CocoCategory,
    CocoFile,
    CocoImage,
    is_crowd,
    mask_size,
    object_box,
    parse_coco,
)
from edgeloop.edge.labels.label_lines import Box, fit_box
from edgeloop.edge.labels.label_problems import LabelProblems
from edgeloop.labeling.inputs.drawn_mask import drawn_mask
from edgeloop.labeling.inputs.find_image import ImageFinder
from edgeloop.labeling.inputs.frames_folder import FramesFolder
from edgeloop.models.errors import DataError

__all__ = ["ExemplarFrame", "find_coco", "read_coco_frames"]

_PLACES = ("instances.json", "*.json", "annotations/*.json", "*/_annotations.coco.json")


@dataclass(frozen=True, slots=True, eq=False)
class ExemplarFrame:
    """A frame on which a person boxed every object of interest; the rest is background.

    Attributes:
        path: The image.
        xyxy: float32 (N, 4), the boxes in pixels of the image, inside it.
        class_id: int64 (N,), index into `Exemplars.names`; -1 for objects that must not be labeled.
        masks: Masks that the person drew, as compressed run lengths of COCO, by row; the other rows are only
            boxes.
    """

    path: Path
    xyxy: NDArray[np.float32]
    class_id: NDArray[np.int64]
    masks: Mapping[int, str] = field(default_factory=dict)

    def image(self) -> NDArray[np.uint8]:
        """Decode the image, HxWx3 uint8 BGR."""
        return require_image(self.path)


def find_coco(folder: Path) -> Path | None:
    """Find the COCO json of an export: in the folder, in annotations/, or of its only part.

    Raises:
        DataError: There are several.
    """
    for place in _PLACES:
        found = sorted(
            path for path in folder.glob(place) if path.name[0] != "." and path.name != "notes.json"
        )
        if len(found) > 1:
            first, second = (path.relative_to(folder) for path in found[:2])
            raise DataError(f"{folder}: holds {first} and {second}; name one of them")
        if found:
            return found[0]
    return None


def read_coco_frames(
    path: Path, frames_folder: FramesFolder, problems: LabelProblems
) -> tuple[tuple[str, ...], list[ExemplarFrame]]:
    """Read the boxes of a COCO json.

    Args:
        path: The json.
        frames_folder: The frames to label.
        problems: Counts what is read nevertheless.

    Returns:
        Names of the categories, and frames whose `class_id` is an index into them.

    Raises:
        NoInputError: There is no such file.
        DataError: It is malformed, an image is missing, unreadable or of another size, an id is unknown, or a
            box is outside its image.
    """
    coco = parse_coco(path)
    categories = _categories(coco, path)
    numbers = {category.id: number for number, category in enumerate(categories)}
    names = tuple(category.name for category in categories)
    if len({image.id for image in coco.images}) < len(coco.images):
        raise DataError(f"{path}: images: every id may be there only once")
    by_image = _by_image(coco, numbers, path, problems)
    finder = ImageFinder(path, frames_folder)
    frames = []
    for image in coco.images:
        if not image.complete:
            problems.note("incomplete", f"{path}: {image.file_name}")
            continue
        try:
            file = finder.find(image.file_name)
        except DataError as error:
            problems.refuse("missing_image", str(error))
            continue
        try:
            height, width = require_image(file).shape[:2]
        except DataError as error:
            problems.refuse("unreadable_image", str(error))
            continue
        if _fits(image, by_image[image.id], (width, height), f"{path}: {image.file_name}", problems):
            frames.append(_frame(file, by_image[image.id], (width, height), numbers, names, problems))
    return names, frames


def _categories(coco: CocoFile, path: Path) -> list[CocoCategory]:
    """Categories of one name each; Roboflow adds an unused one that may have the name of another."""
    used = {annotation.category_id for annotation in coco.annotations}
    twice = len({category.id for category in coco.categories}) < len(coco.categories)
    by_name: dict[str, CocoCategory] = {}
    for category in coco.categories:
        other = by_name.setdefault(category.name, category)
        twice |= other is not category and {other.id, category.id} <= used
        if category.id in used:
            by_name[category.name] = category
    if twice:
        raise DataError(f"{path}: categories: every id and every name may be there only once")
    return [*by_name.values()]


def _by_image(
    coco: CocoFile, numbers: dict[str, int], path: Path, problems: LabelProblems
) -> dict[str, list[tuple[str, CocoAnnotation]]]:
    """Annotations of each image, each with its place."""
    images = {image.id for image in coco.images}
    found: dict[str, list[tuple[str, CocoAnnotation]]] = defaultdict(list)
    for row, annotation in enumerate(coco.annotations):
        place = f"{path}: annotations[{row}]"
        if annotation.category_id not in numbers:
            told = f"category_id {annotation.category_id} is none of the categories"
            problems.refuse("unknown_class", f"{place}: {told}")
        elif annotation.image_id not in images:
            problems.refuse("unknown_image", f"{place}: image_id {annotation.image_id} is none of the images")
        elif is_crowd(annotation.iscrowd, annotation.segmentation, place, problems):
            told = "iscrowd boxes cannot be examples; draw one box around each object"
            problems.refuse("crowd", f"{place}: {told}")
        else:
            found[annotation.image_id].append((place, annotation))
    return found


def _fits(
    image: CocoImage,
    annotations: list[tuple[str, CocoAnnotation]],
    size: tuple[int, int],
    place: str,
    problems: LabelProblems,
) -> bool:
    """True if the json speaks of an image of this size."""
    said = [(image.width, image.height)] if image.width > 0 and image.height > 0 else []
    said += [own for _, annotation in annotations if (own := mask_size(annotation.segmentation)) is not None]
    for width, height in said:
        if (width, height) == size:
            continue
        turned = "; it was turned by its EXIF orientation" if (height, width) == size else ""
        problems.refuse(
            "size_differs",
            f"{place}: drawn on {width}x{height}, but the image is {size[0]}x{size[1]}{turned}; "
            "give the image that the boxes were drawn on",
        )
        return False
    return True


def _frame(
    file: Path,
    annotations: list[tuple[str, CocoAnnotation]],
    size: tuple[int, int],
    numbers: dict[str, int],
    names: tuple[str, ...],
    problems: LabelProblems,
) -> ExemplarFrame:
    found: dict[tuple[int, Box], list[str | None]] = {}
    for place, annotation in annotations:
        number = numbers[annotation.category_id]
        try:
            x, y, w, h = object_box(annotation.bbox, annotation.segmentation)
            if w < 0 or h < 0:
                raise ValueError(f"bbox: expected x, y, width and height of 0 or more, got {w:g} x {h:g}")
        except ValueError as error:
            problems.refuse("malformed_box", f"{place}: {error}")
            continue
        try:
            box = fit_box((x, y, x + w, y + h), size, place, problems)
        except ValueError:
            problems.refuse(
                "box_outside",
                f"{place}: {file.name}: box x={x:g} y={y:g} w={w:g} h={h:g} ({names[number]}) lies "
                f"outside the image of {size[0]}x{size[1]}",
            )
            continue
        if box is None:
            continue
        mask = drawn_mask(annotation.segmentation, box, size, place, problems)
        told = found.setdefault((number, box), [])
        if told and (mask in (None, *told) or told == [None]):
            problems.note("duplicate", place)
        if told == [None]:
            told[:] = [mask]
        elif not told or mask not in (None, *told):
            told.append(mask)
    rows = [(*label, mask) for label, masks in found.items() for mask in masks]
    return ExemplarFrame(
        file,
        np.array([box for _, box, _ in rows], np.float32).reshape(-1, 4),
        np.array([number for number, *_ in rows], np.int64),
        {place: mask for place, (*_, mask) in enumerate(rows) if mask is not None},
    )
