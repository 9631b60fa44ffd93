"""instances.json of a dataset, read back strictly: a person may have edited what `edgeloop label` wrote."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt, Len
from numpy.typing import NDArray
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked

from edge.opencv import require_image
from models.errors import DataError, NoInputError, first_mistake

__all__ = ["Annotation", "Category", "Image", "Instances", "read_instances", "read_listed"]

_NAME = "instances.json"


_STRICT = ConfigDict(extra="ignore", allow_inf_nan=False)


# With slots, because a dataset has a hundred thousand of them.
@checked(frozen=True, slots=True, config=_STRICT)
class Image:
    """A frame of the dataset.

    Attributes:
        id: Unique in its file.
        file_name: Below the dataset's folder.
        width: Of the image, px.
        height: Of the image, px.
        source: What the frame was taken from.
        frame_index: Place in that source.
        split: The part of the dataset that it belongs to.
    """

    id: int
    file_name: Annotated[str, Len(1)]
    width: Annotated[int, Gt(0)]
    height: Annotated[int, Gt(0)]
    source: str
    frame_index: int
    split: Literal["train", "val"]


@checked(frozen=True, slots=True, config=_STRICT)
class Annotation:
    """A label.

    Attributes:
        id: Unique in its file.
        image_id: `Image.id`.
        category_id: `Category.id`.
        bbox: xywh, pixels of the image.
        score: How sure edgeloop was, in [0, 1].
        prompt: Name of the prompter; "human" for a person's box.
    """

    id: int
    image_id: int
    category_id: int
    bbox: tuple[float, float, Annotated[float, Gt(0)], Annotated[float, Gt(0)]]
    score: Annotated[float, Ge(0)]
    prompt: str


@checked(frozen=True, slots=True, config=_STRICT)
class Category:
    """A class."""

    id: int
    name: Annotated[str, Len(1, 100)]


@checked(frozen=True, slots=True, config=_STRICT)
class _File:
    images: list[Image]
    annotations: list[Annotation]
    categories: list[Category]


@dataclass(frozen=True, slots=True)
class Instances:
    """What the file says.

    Attributes:
        path: The file.
        digest: sha256 of its bytes.
        images: In the order of the file.
        annotations: Each of one of the images and categories.
        categories: In the order of the file.
    """

    path: Path
    digest: str
    images: Sequence[Image]
    annotations: Sequence[Annotation]
    categories: Sequence[Category]


def read_instances(dataset: Path) -> Instances:
    """Read a dataset's instances.json.

    Args:
        dataset: Folder that `edgeloop label` wrote.

    Returns:
        What it says. Images are not opened yet.

    Raises:
        NoInputError: There is no such dataset.
        DataError: It is not one that `edgeloop label` wrote, an id is there twice, or a label is of an image
            or a category that is not there.
    """
    path = dataset / _NAME
    try:
        content = path.read_bytes()
    except OSError as error:
        raise NoInputError(
            f"{path}: cannot be read ({error.strerror}); expected a dataset that edgeloop label wrote"
        ) from error
    try:
        file = TypeAdapter(_File).validate_json(content)
    except ValidationError as error:
        raise DataError(f"{path}: not the {_NAME} of a dataset: {first_mistake(error, 'json')}") from error
    _check_references(file, path)
    return Instances(
        path, hashlib.sha256(content).hexdigest(), file.images, file.annotations, file.categories
    )


def read_listed(dataset: Path, image: Image) -> NDArray[np.uint8]:
    """Read an image that the file lists.

    Args:
        dataset: The dataset's folder.
        image: Its entry.

    Returns:
        HxWx3 uint8 BGR.

    Raises:
        NoInputError: It is not there.
        DataError: It lies outside the dataset, or cannot be read.
    """
    path = dataset / image.file_name
    if not path.resolve().is_relative_to(dataset.resolve()):
        raise DataError(f"{dataset / _NAME}: {image.file_name!r} lies outside the dataset")
    if not path.is_file():
        raise NoInputError(f"{path}: no such file, but {_NAME} lists it")
    return require_image(path)


def _check_references(file: _File, path: Path) -> None:
    images = {image.id for image in file.images}
    categories = {category.id for category in file.categories}
    for what, entries, ids in (
        ("images", file.images, images),
        ("categories", file.categories, categories),
        ("annotations", file.annotations, {annotation.id for annotation in file.annotations}),
    ):
        if len(ids) < len(entries):
            raise DataError(f"{path}: {what}: every id may be there only once")
    for number, annotation in enumerate(file.annotations):
        if annotation.image_id not in images or annotation.category_id not in categories:
            raise DataError(f"{path}: annotations[{number}]: of an image or a category that is not there")
