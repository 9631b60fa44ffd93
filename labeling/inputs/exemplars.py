"""Strict reading of exemplars: a person's boxes on a few frames."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.host.opencv import require_image
from edgeloop.edge.labels.label_problems import LabelProblems
from edgeloop.export.data.yolo_dataset import LabeledImage
from edgeloop.labeling.inputs.coco_frames import ExemplarFrame, find_coco, read_coco_frames
from edgeloop.labeling.inputs.drawn_mask import drawn_mask
from edgeloop.labeling.inputs.frames_folder import FramesFolder
from edgeloop.labeling.inputs.yolo import find_names, is_yaml, read_yolo_images
from edgeloop.models.boxes import cxcywh_to_xyxy
from edgeloop.models.errors import DataError

__all__ = [
    "IGNORE",
    "Crop",
    "ExemplarFrame",
    "Exemplars",
    "add_frames",
    "find_boxes",
    "read_boxes",
    "read_exemplars",
]

log = logging.getLogger(__name__)

IGNORE = "_ignore"
"""Category of objects that must not be labeled."""


@dataclass(frozen=True, slots=True)
class Crop:
    """A tight crop of one object, without the frame around it.

    Attributes:
        path: The image.
        class_id: Index into `Exemplars.names`; -1 for objects that must not be labeled.
    """

    path: Path
    class_id: int

    def image(self) -> NDArray[np.uint8]:
        """Decode the image, HxWx3 uint8 BGR."""
        return require_image(self.path)


@dataclass(frozen=True, slots=True)
class Exemplars:
    """Exemplars of one job.

    Attributes:
        names: The classes to label, in the order of the file's categories.
        frames: The frames with boxes, in the order of the file.
        crops: Crops of objects; there are either frames or crops.
    """

    names: tuple[str, ...]
    frames: tuple[ExemplarFrame, ...]
    crops: tuple[Crop, ...] = ()

    def digest(self) -> str:
        """sha256 of class names, boxes, masks that were drawn, and images, hexadecimal."""
        found = hashlib.sha256("\0".join(self.names).encode())
        for frame in self.frames:
            found.update(frame.path.read_bytes() + frame.xyxy.tobytes() + frame.class_id.tobytes())
            if frame.masks:
                found.update(repr(sorted(frame.masks.items())).encode())
        for crop in self.crops:
            found.update(crop.path.read_bytes() + str(crop.class_id).encode())
        return found.hexdigest()


def read_exemplars(path: Path, frames_folder: FramesFolder) -> Exemplars:
    """Read a COCO json of boxes, or a folder of YOLO text files.

    Args:
        path: The json, or a folder with one; or a folder with the names of the classes and a text file of
            boxes for each image, as of `read_yolo_images`. Images are found as of `ImageFinder`.
        frames_folder: The frames to label.

    Returns:
        Classes that have a box, and the frames. A frame without boxes has no objects.

    Raises:
        NoInputError: There is no such file or folder.
        DataError: It is malformed, an image is missing, unreadable, given twice or of another size than the
            json says, a box is outside its image, an id is unknown, or there is no box of any class to label.
    """
    problems = LabelProblems()
    names, frames = read_boxes(path, frames_folder, problems)
    problems.warn(str(path))
    classes = _classes_with_boxes(names, frames, path)
    paths = Counter(frame.path for frame in frames)
    if twice := [str(p) for p, times in paths.items() if times > 1]:
        raise DataError(f"{path}: {twice[0]} is given twice; all boxes of a frame belong to one image")
    return add_frames(Exemplars(classes, ()), names, frames)


def add_frames(
    exemplars: Exemplars | None, names: Sequence[str], frames: Sequence[ExemplarFrame]
) -> Exemplars:
    """Add frames to exemplars; of a frame that is in both, what is added counts.

    Args:
        exemplars: Exemplars with frames; None for none.
        names: Class names of the frames.
        frames: Frames whose `class_id` is an index into `names`.

    Returns:
        Exemplars whose classes are those that have a box.
    """
    used = {names[number] for frame in frames for number in frame.class_id.tolist()}
    before = () if exemplars is None else exemplars.names
    classes = (*before, *(name for name in names if name in used - {IGNORE, *before}))
    numbers = np.array([classes.index(name) if name in classes else -1 for name in names], np.int64)
    merged = {} if exemplars is None else {frame.path: frame for frame in exemplars.frames}
    for frame in frames:
        merged[frame.path] = replace(frame, class_id=numbers[frame.class_id])
    return Exemplars(classes, tuple(merged.values()))


def find_boxes(folder: Path) -> Path | None:
    """Find the file of class names or the COCO json of a folder of boxes, as of `read_boxes`.

    A COCO json comes before a yaml that is not named data.yaml, and after other files of names.

    Raises:
        DataError: There are several COCO json.
    """
    names = find_names(folder)
    if names is None or (is_yaml(names) and names.name != "data.yaml"):
        return find_coco(folder) or names
    return names


def read_boxes(
    path: Path, frames_folder: FramesFolder, problems: LabelProblems, *, unlabeled_is_empty: bool = False
) -> tuple[tuple[str, ...], list[ExemplarFrame]]:
    """Read boxes as of `read_exemplars`, with all classes.

    Args:
        path: As of `read_exemplars`.
        frames_folder: The frames to label.
        problems: Counts what is read nevertheless.
        unlabeled_is_empty: Take images of a data.yaml that have no text file for frames without objects.

    Returns:
        Class names, and frames whose `class_id` is an index into them.
    """
    if path.is_dir() and (file := find_boxes(path)) is not None and file.suffix == ".json":
        path = file
    if not path.is_dir():
        return read_coco_frames(path, frames_folder, problems)
    names, images = read_yolo_images(path, frames_folder, problems, unlabeled_is_empty=unlabeled_is_empty)
    frames = []
    for image in images:
        try:
            height, width = require_image(image.path).shape[:2]
        except DataError as error:
            problems.refuse("unreadable_image", str(error))
            continue
        frames.append(_in_pixels(image, (width, height), problems))
    return names, frames


def _in_pixels(image: LabeledImage, size: tuple[int, int], problems: LabelProblems) -> ExemplarFrame:
    xyxy = cxcywh_to_xyxy(image.xywh) * np.array(size * 2, np.float32)
    drawn = {
        row: drawn_mask([(outline * size).ravel().tolist()], box, size, str(image.path), problems)
        for row, (outline, box) in enumerate(zip(image.outlines or (), xyxy, strict=False))
        if len(outline)
    }
    masks = {row: counts for row, counts in drawn.items() if counts is not None}
    return ExemplarFrame(image.path, xyxy, image.class_id, masks)


def _classes_with_boxes(names: Sequence[str], frames: Sequence[ExemplarFrame], path: Path) -> tuple[str, ...]:
    boxes = Counter(number for frame in frames for number in frame.class_id.tolist())
    classes = tuple(name for number, name in enumerate(names) if boxes[number] and name != IGNORE)
    if not classes:
        raise DataError(
            f"{path}: there is no box of a class to label; draw some (category {IGNORE!r} is none)"
        )
    if unused := [name for number, name in enumerate(names) if name and not boxes[number]]:
        log.warning("%s: no box of %s, so nothing will be labeled so", path, ", ".join(unused))
    return classes
