"""Datasets and exemplars of other tools, read leniently: problems are counted, not raised."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.labels.label_problems import LabelProblem, LabelProblems
from edgeloop.export.data.yolo_dataset import LabeledImage, open_dataset
from edgeloop.labeling.dataset.image_facts import ImageFacts, measure_images
from edgeloop.labeling.inputs.crops import holds_crops, read_crops
from edgeloop.labeling.inputs.exemplars import IGNORE, ExemplarFrame, find_boxes, read_boxes
from edgeloop.labeling.inputs.yolo import find_names, is_yaml
from edgeloop.labeling.workers.workers import Workers
from edgeloop.models.errors import DataError, NoInputError

__all__ = ["Shown", "ShownImage", "read_shown"]

_EXEMPLARS = "exemplars"


@dataclass(frozen=True, slots=True, eq=False)
class ShownImage:
    """An image and its labels.

    Attributes:
        file: Path of the image.
        split: "train", "val" or "exemplars".
        size: (width, height), px.
        class_id: Index into `Shown.names` of each label.
        sides_px: Square root of the area of each label's box, px.
        code: Perceptual hash, bool (256,).
    """

    file: str
    split: str
    size: tuple[int, int]
    class_id: Sequence[int]
    sides_px: Sequence[float]
    code: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Shown:
    """Dataset or exemplars.

    Attributes:
        kind: "dataset", "exemplars" or "crops".
        names: Class names by class number.
        images: Images that can be read.
        problems: Problems by kind.
    """

    kind: str
    names: Sequence[str]
    images: Sequence[ShownImage]
    problems: Mapping[str, LabelProblem]


def read_shown(
    path: Path, images_folder: Path | None, workers: Workers, advance: Callable[[int], None]
) -> Shown:
    """Read a dataset or exemplars that another tool may have made.

    Args:
        path: Dataset as of `open_dataset`, exemplars as of `read_exemplars`, or folders of crops.
        images_folder: Folder of the images of exemplars; None if they are beside their labels.
        workers: Who reads the images.
        advance: Called with 1 after each image.

    Raises:
        NoInputError: It is none of these.
        DataError: It cannot be read at all, or it has no image.
        UnavailableError: No worker can be started.
    """
    problems = LabelProblems(strict=False)
    kind, names, read = _read(path, images_folder, problems)
    images = list(read)
    shown = []
    measured = measure_images([image.path for _, image in images], workers, advance)
    for (split, image), (file, facts) in zip(images, measured, strict=True):
        if isinstance(facts, str):
            problems.refuse("unreadable_image", f"{file}: {facts}")
        else:
            shown.append(_show(split, image, facts))
    if not shown and not problems.by_kind:
        raise DataError(f"{path}: there is no image in it, so there is nothing to count")
    used = {number for own in shown for number in own.class_id}
    if not used:
        problems.refuse("no_label", f"{path}: there is no label in it, so there is nothing to learn from")
    for number, name in enumerate(names):
        if name and number not in used:
            problems.note("class_without_label", name)
    return Shown(kind, names, shown, problems.by_kind)


def _read(
    path: Path, images_folder: Path | None, problems: LabelProblems
) -> tuple[str, Sequence[str], Iterator[tuple[str, LabeledImage | ExemplarFrame]]]:
    """Kind, class names, and images with their split."""
    if images_folder is None and _is_dataset(path):
        data = open_dataset(path, problems)
        parts = {"train": data.train, "val": data.val}
        return "dataset", data.names, ((split, image) for split, own in parts.items() for image in own)
    if holds_crops(path):
        read = read_crops(path, decode=False)
        names = (*read.names, IGNORE) if any(crop.class_id < 0 for crop in read.crops) else read.names
        whole = np.array([[0.5, 0.5, 1, 1]], np.float32)
        crops = (
            LabeledImage(
                crop.path, np.array([crop.class_id if crop.class_id >= 0 else len(read.names)]), whole
            )
            for crop in read.crops
        )
        return "crops", names, ((_EXEMPLARS, crop) for crop in crops)
    if not path.exists():
        raise NoInputError(f"{path}: no such file or folder; expected a dataset or exemplars")
    if path.is_dir() and find_boxes(path) is None:
        raise NoInputError(
            f"{path}: expected a dataset (instances.json or data.yaml) or exemplars (COCO json, YOLO "
            "text files with classes.txt, folders of crops)"
        )
    if images_folder is None:
        beside = path if path.is_dir() else path.parent
        images_folder = beside / "images" if (beside / "images").is_dir() else beside
    boxed_names, frames = read_boxes(path, images_folder, problems)
    for file, times in Counter(frame.path for frame in frames).items():
        if times > 1:
            told = f"{path}: {file} is given twice; all boxes of a frame belong to one image"
            problems.refuse("frame_twice", told)
    return _EXEMPLARS, boxed_names, ((_EXEMPLARS, frame) for frame in frames)


def _is_dataset(path: Path) -> bool:
    if path.is_file():
        return is_yaml(path)
    names = find_names(path)
    try:
        return names is not None and is_yaml(names) and find_boxes(path) == names
    except DataError:  # several COCO json beside the yaml
        return True


def _show(split: str, labeled: LabeledImage | ExemplarFrame, facts: ImageFacts) -> ShownImage:
    """Measure the boxes of an image."""
    width, height = facts.size
    if isinstance(labeled, LabeledImage):
        areas = labeled.xywh[:, 2] * width * labeled.xywh[:, 3] * height
    else:
        areas = np.prod(labeled.xyxy[:, 2:] - labeled.xyxy[:, :2], axis=1)
    return ShownImage(
        file=str(labeled.path),
        split=split,
        size=facts.size,
        class_id=labeled.class_id.tolist(),
        sides_px=np.sqrt(areas).tolist(),
        code=facts.code,
    )
