"""The sample that a person looks at: boxes and frames, drawn at random, each as likely as any other."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

import numpy as np
from annotated_types import Ge, Gt, Len
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from edge.opencv import read_image
from models.errors import DataError, NoInputError

__all__ = ["DrawnBox", "DrawnFrame", "Sample", "draw_sample"]

_INSTANCES = "instances.json"
_HUMAN = "human"
_T = TypeVar("_T")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)


class _Image(_Strict):
    id: int
    file_name: Annotated[str, Len(1)]
    width: Annotated[int, Gt(0)]
    height: Annotated[int, Gt(0)]


class _Annotation(_Strict):
    id: int
    image_id: int
    category_id: int
    bbox: tuple[float, float, Annotated[float, Gt(0)], Annotated[float, Gt(0)]]
    score: Annotated[float, Ge(0)]
    prompt: str


class _Category(_Strict):
    id: int
    name: Annotated[str, Len(1, 100)]


class _Coco(_Strict):
    images: list[_Image]
    annotations: list[_Annotation]
    categories: list[_Category]


@dataclass(frozen=True, slots=True)
class DrawnBox:
    """A label that edgeloop made.

    Attributes:
        id: Of the annotation in instances.json.
        path: The image.
        xyxy: Box, pixels of the image.
        class_id: Index into `Sample.names`.
        score: How sure edgeloop was of it, in [0, 1].
    """

    id: int
    path: Path
    xyxy: tuple[float, float, float, float]
    class_id: int
    score: float


@dataclass(frozen=True, slots=True, eq=False)
class DrawnFrame:
    """A frame with all of its labels.

    Attributes:
        id: Of the image in instances.json.
        path: The image.
        width: Of the image, px.
        height: Of the image, px.
        xyxy: float32 (N, 4), the boxes, pixels of the image.
        class_id: int64 (N,), index into `Sample.names`.
        by_person: bool (N,), the labels that a person drew.
    """

    id: int
    path: Path
    width: int
    height: int
    xyxy: NDArray[np.float32]
    class_id: NDArray[np.int64]
    by_person: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Sample:
    """What a person looks at, in random order: whoever stops early has still seen a random sample.

    Attributes:
        dataset: The folder.
        digest: sha256 of its instances.json.
        seed: Of the draw.
        names: The classes.
        boxes: Drawn uniformly, without replacement, over all labels that no person drew.
        frames: Drawn uniformly, without replacement, over all frames.
        labels: How many labels there are to draw from.
        images: How many frames there are to draw from.
    """

    dataset: Path
    digest: str
    seed: int
    names: tuple[str, ...]
    boxes: tuple[DrawnBox, ...]
    frames: tuple[DrawnFrame, ...]
    labels: int
    images: int


def draw_sample(
    dataset: Path,
    *,
    boxes: int,
    frames: int,
    seed: int,
    advance: Callable[[int], None] = lambda steps: None,
) -> Sample:
    """Draw boxes and frames of a dataset.

    Args:
        dataset: Folder that `edgeloop label` wrote.
        boxes: How many labels to draw; all where there are fewer.
        frames: How many frames to draw; all where there are fewer.
        seed: The same seed draws the same from the same dataset.
        advance: Called with 1 after each image that was checked.

    Returns:
        The sample. Boxes and frames are drawn independently of each other.

    Raises:
        NoInputError: There is no such dataset, or an image of the sample is missing.
        DataError: It is not one that `edgeloop label` wrote, there is no label in it that edgeloop made, or
            an image of the sample cannot be read or is not of the size that it should be.
    """
    path = dataset / _INSTANCES
    content = _read(path)
    coco = _parse(content, path)
    images = {image.id: image for image in coco.images}
    rows = {category.id: row for row, category in enumerate(coco.categories)}
    _check_references(coco, images, rows, path)
    made = [annotation for annotation in coco.annotations if annotation.prompt != _HUMAN]
    if not made:
        raise DataError(f"{path}: there is no label in it that edgeloop made, so there is nothing to audit")
    drawn_boxes = _draw(made, boxes, np.random.default_rng([seed, 0]))
    drawn_frames = _draw(coco.images, frames, np.random.default_rng([seed, 1]))
    looked_at = [images[box.image_id] for box in drawn_boxes] + drawn_frames
    for image in {image.id: image for image in looked_at}.values():
        _check_image(dataset, image)
        advance(1)
    return Sample(
        dataset=dataset,
        digest=hashlib.sha256(content).hexdigest(),
        seed=seed,
        names=tuple(category.name for category in coco.categories),
        boxes=tuple(
            DrawnBox(
                id=box.id,
                path=dataset / images[box.image_id].file_name,
                xyxy=_corners(box),
                class_id=rows[box.category_id],
                score=box.score,
            )
            for box in drawn_boxes
        ),
        frames=tuple(_frame(dataset, image, coco.annotations, rows) for image in drawn_frames),
        labels=len(made),
        images=len(coco.images),
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise NoInputError(
            f"{path}: cannot be read ({error.strerror}); expected a dataset that edgeloop label wrote"
        ) from error


def _parse(content: bytes, path: Path) -> _Coco:
    try:
        return _Coco.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "json"
        raise DataError(f"{path}: not the {_INSTANCES} of a dataset: {where}: {first['msg']}") from error


def _check_references(coco: _Coco, images: dict[int, _Image], rows: dict[int, int], path: Path) -> None:
    for what, entries, known in (
        ("images", coco.images, images),
        ("categories", coco.categories, rows),
        ("annotations", coco.annotations, {annotation.id for annotation in coco.annotations}),
    ):
        if len(known) < len(entries):
            raise DataError(f"{path}: {what}: every id may be there only once")
    for number, annotation in enumerate(coco.annotations):
        if annotation.image_id not in images or annotation.category_id not in rows:
            raise DataError(f"{path}: annotations[{number}]: of an image or a category that is not there")


def _draw(entries: Sequence[_T], count: int, random: np.random.Generator) -> list[_T]:
    return [entries[row] for row in random.permutation(len(entries))[:count]]


def _check_image(dataset: Path, entry: _Image) -> None:
    path = dataset / entry.file_name
    if not path.resolve().is_relative_to(dataset.resolve()):
        raise DataError(f"{dataset / _INSTANCES}: {entry.file_name!r} lies outside the dataset")
    if not path.is_file():
        raise NoInputError(f"{path}: no such file, but {_INSTANCES} lists it")
    image = read_image(path)
    if image is None:
        raise DataError(f"{path}: not an image that can be read (corrupt or cut off)")
    height, width = image.shape[:2]
    if (width, height) != (entry.width, entry.height):
        raise DataError(
            f"{path}: expected {entry.width}x{entry.height} as {_INSTANCES} says, got {width}x{height}"
        )


def _corners(annotation: _Annotation) -> tuple[float, float, float, float]:
    x, y, width, height = annotation.bbox
    return x, y, x + width, y + height


def _frame(
    dataset: Path, image: _Image, annotations: Sequence[_Annotation], rows: dict[int, int]
) -> DrawnFrame:
    own = [annotation for annotation in annotations if annotation.image_id == image.id]
    return DrawnFrame(
        id=image.id,
        path=dataset / image.file_name,
        width=image.width,
        height=image.height,
        xyxy=np.array([_corners(one) for one in own], np.float32).reshape(-1, 4),
        class_id=np.array([rows[one.category_id] for one in own], np.int64),
        by_person=np.array([one.prompt == _HUMAN for one in own], np.bool_),
    )
