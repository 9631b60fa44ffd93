"""Datasets that a person corrected, taken back as that person's boxes."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.host.opencv import require_image
from edgeloop.edge.labels.label_problems import LabelProblems
from edgeloop.labeling.dataset.read import INSTANCES, is_ours, read_instances
from edgeloop.labeling.inputs.exemplars import ExemplarFrame, read_boxes
from edgeloop.labeling.inputs.find_image import ImageFinder
from edgeloop.models.errors import DataError

__all__ = ["read_corrected"]

log = logging.getLogger(__name__)

_HUMAN = "human"
_MOVED_PX = 0.5  # a shift below this is rounding


def read_corrected(path: Path, frames_folder: Path) -> tuple[tuple[str, ...], list[ExemplarFrame]]:
    """Read the frames of a corrected dataset on which a person has the last word.

    Args:
        path: Export of a drawing tool as of `read_exemplars`: all its frames count as checked. Or a folder
            that `edgeloop label` wrote, whose text files were edited: those frames count whose labels differ
            from instances.json, and those that a person drew.
        frames_folder: The frames to label.

    Returns:
        Class names, and frames whose `class_id` is an index into them. A frame without boxes has no objects.

    Raises:
        NoInputError: There is no such file or folder.
        DataError: It is malformed, no frame of it is among the frames, or one is given twice or has another
            size.
    """
    problems = LabelProblems()
    names, boxed = read_boxes(path, frames_folder, problems, unlabeled_is_empty=True)
    problems.warn(str(path))
    if path.is_dir() and (path / INSTANCES).is_file() and is_ours(path):
        boxed = _by_person(path, names, boxed)
    finder = ImageFinder(path, frames_folder)
    folder = frames_folder.resolve()
    frames: dict[Path, ExemplarFrame] = {}
    others = []
    for one in boxed:
        file = one.path if one.path.parent == folder else _frame_of(one, finder)
        if file is None:
            others.append(one.path)
        elif file in frames:
            raise DataError(f"{path}: {file} is given twice; all boxes of a frame belong to one image")
        else:
            frames[file] = ExemplarFrame(file, one.xyxy, one.class_id)
    if others:
        log.warning(
            "%s: %d images are none of the frames and are left out (first: %s)", path, len(others), others[0]
        )
    if not frames:
        raise DataError(f"{path}: no corrected frame in it is among {frames_folder}; nothing is taken back")
    return names, [*frames.values()]


def _frame_of(one: ExemplarFrame, finder: ImageFinder) -> Path | None:
    """Frame that an image of the dataset is a copy of, by its name; None if there is none.

    Raises:
        DataError: The frame has another size.
    """
    try:
        file = finder.find_frame(one.path)
    except DataError:
        return None
    (height, width), (own_height, own_width) = require_image(file).shape[:2], one.image().shape[:2]
    if (height, width) != (own_height, own_width):
        raise DataError(
            f"{one.path}: corrected on {own_width}x{own_height}, but the frame {file} is {width}x{height}; "
            "export the images in their own size"
        )
    return file


def _by_person(dataset: Path, names: Sequence[str], boxed: Sequence[ExemplarFrame]) -> list[ExemplarFrame]:
    """Frames whose labels are not those that edgeloop wrote."""
    coco = read_instances(dataset)
    numbers = {category.id: category.name for category in coco.categories}
    files = {image.id: image.file_name for image in coco.images}
    written: dict[str, list[tuple[float, ...]]] = defaultdict(list)
    drawn = set()
    for label in coco.annotations():
        x, y, width, height = label.bbox
        name = numbers[label.category_id]
        number = names.index(name) if name in names else -1
        file = Path(files[label.image_id]).stem
        written[file].append((number, x, y, x + width, y + height))
        if label.prompt == _HUMAN:
            drawn.add(file)
    return [
        one
        for one in boxed
        if one.path.stem in drawn or not _same(one, np.array(written[one.path.stem]).reshape(-1, 5))
    ]


def _same(one: ExemplarFrame, written: NDArray[np.float64]) -> bool:
    """True if boxes are those of rows (number, x1, y1, x2, y2), in any order."""
    if len(one.xyxy) != len(written):
        return False
    own = np.concatenate((one.class_id[:, None], one.xyxy), axis=1, dtype=np.float64)
    near: NDArray[np.bool_] = np.abs(own[:, None] - written[None]).max(axis=2) <= _MOVED_PX
    return bool(near.any(axis=0).all() and near.any(axis=1).all())
