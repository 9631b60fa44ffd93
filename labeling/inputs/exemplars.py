"""Strict reading of exemplars: a person's boxes on a few frames."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from annotated_types import Len
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from edgeloop.edge.host.opencv import require_image
from edgeloop.labeling.inputs.yolo import read_yolo_boxes
from edgeloop.models.boxes import clip_boxes, xywh_to_xyxy
from edgeloop.models.errors import DataError, NoInputError

__all__ = ["IGNORE", "Crop", "ExemplarFrame", "Exemplars", "read_exemplars"]

log = logging.getLogger(__name__)

IGNORE = "_ignore"
"""Category of objects that must not be labeled."""

_TOLERANCE_PX = 2.0  # drawing tools round, and some let boxes stick out by a pixel


class _Strict(BaseModel):
    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)


class _Image(_Strict):
    id: int
    file_name: str


class _Annotation(_Strict):
    image_id: int
    category_id: int
    bbox: Annotated[list[float], Len(4, 4)]
    iscrowd: int = 0


class _Category(_Strict):
    id: int
    name: Annotated[str, Len(1, 100)]


class _Coco(_Strict):
    images: list[_Image]
    annotations: list[_Annotation]
    categories: list[_Category]


@dataclass(frozen=True, slots=True, eq=False)
class ExemplarFrame:
    """A frame on which a person boxed every object of interest; the rest is background.

    Attributes:
        path: The image.
        xyxy: float32 (N, 4), the boxes in pixels of the image, inside it.
        class_id: int64 (N,), index into `Exemplars.names`; -1 for objects that must not be labeled.
    """

    path: Path
    xyxy: NDArray[np.float32]
    class_id: NDArray[np.int64]

    def image(self) -> NDArray[np.uint8]:
        """Decode the image, HxWx3 uint8 BGR."""
        return require_image(self.path)


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


def read_exemplars(path: Path, frames_folder: Path) -> Exemplars:
    """Read a COCO json of boxes, or a folder of YOLO text files.

    Args:
        path: The json; an image is searched by its file name among the frames, then beside the json, then in
            the folder images/ beside it. Or a folder with `classes.txt`, one name per line, and a text file
            of boxes for each image, named like it; the images are among the frames or in that folder.
        frames_folder: The frames to label.

    Returns:
        Classes that have a box, and the frames. A frame without boxes has no objects.

    Raises:
        NoInputError: There is no such file or folder.
        DataError: It is malformed, an image is missing, unreadable or given twice, a box is empty or
            outside its image, an id is unknown, or there is no box of any class to label.
    """
    coco = _Coco.model_validate(read_yolo_boxes(path, frames_folder)) if path.is_dir() else _parse(path)
    names = _category_names(coco, path)
    known = {image.id for image in coco.images}
    for number, annotation in enumerate(coco.annotations):
        where = f"{path}: annotations[{number}]"
        if annotation.category_id not in names:
            raise DataError(f"{where}: category_id {annotation.category_id} is none of the categories")
        if annotation.image_id not in known:
            raise DataError(f"{where}: image_id {annotation.image_id} is none of the images")
        if annotation.iscrowd:
            raise DataError(f"{where}: iscrowd boxes cannot be examples; draw one box around each object")
    classes = _classes_with_boxes(coco, names, path)
    frames = tuple(_frame(image, coco, names, classes, path, frames_folder) for image in coco.images)
    paths = Counter(frame.path for frame in frames)
    if twice := [str(p) for p, times in paths.items() if times > 1]:
        raise DataError(f"{path}: {twice[0]} is given twice; all boxes of a frame belong to one image")
    return Exemplars(classes, frames)


def _parse(path: Path) -> _Coco:
    try:
        return _Coco.model_validate_json(path.read_bytes())
    except OSError as error:
        raise NoInputError(
            f"{path}: cannot be read ({error.strerror}); expected a COCO json of boxes"
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "json"
        raise DataError(f"{path}: not a COCO json of boxes: {where}: {first['msg']}") from error


def _category_names(coco: _Coco, path: Path) -> dict[int, str]:
    names = {category.id: category.name for category in coco.categories}
    if len(names) < len(coco.categories) or len(set(names.values())) < len(names):
        raise DataError(f"{path}: categories: every id and every name may be there only once")
    return names


def _classes_with_boxes(coco: _Coco, names: dict[int, str], path: Path) -> tuple[str, ...]:
    boxes = Counter(annotation.category_id for annotation in coco.annotations)
    classes = tuple(name for number, name in names.items() if boxes[number] and name != IGNORE)
    if not classes:
        raise DataError(
            f"{path}: there is no box of a class to label; draw some (category {IGNORE!r} is none)"
        )
    if unused := [name for number, name in names.items() if not boxes[number]]:
        log.warning("%s: no box of %s, so nothing will be labeled so", path, ", ".join(unused))
    return classes


def _frame(
    image: _Image,
    coco: _Coco,
    names: dict[int, str],
    classes: Sequence[str],
    path: Path,
    frames_folder: Path,
) -> ExemplarFrame:
    annotations = [annotation for annotation in coco.annotations if annotation.image_id == image.id]
    xyxy = xywh_to_xyxy(np.array([annotation.bbox for annotation in annotations], np.float32).reshape(-1, 4))
    drawn = [names[annotation.category_id] for annotation in annotations]
    class_id = np.array([-1 if name == IGNORE else classes.index(name) for name in drawn], np.int64)
    frame = ExemplarFrame(_find(image.file_name, path, frames_folder), xyxy, class_id)
    height, width = frame.image().shape[:2]
    clipped = clip_boxes(xyxy, width, height)
    for row, box in enumerate(xyxy):
        if np.abs(clipped[row] - box).max() > _TOLERANCE_PX or (clipped[row, 2:] <= clipped[row, :2]).any():
            x, y, w, h = annotations[row].bbox
            raise DataError(
                f"{path}: {image.file_name}: box x={x:g} y={y:g} w={w:g} h={h:g} ({drawn[row]}) is empty or "
                f"lies outside the image of {width}x{height}"
            )
    return ExemplarFrame(frame.path, clipped, class_id)


def _find(file_name: str, path: Path, frames_folder: Path) -> Path:
    name = Path(file_name)
    beside = path if path.is_dir() else path.parent
    for candidate in (frames_folder / name.name, beside / name, beside / "images" / name.name):
        if candidate.is_file():
            return candidate.resolve()
    raise DataError(f"{path}: image {file_name} is neither in {frames_folder} nor beside its boxes")
