"""Strict reading of a dataset's instances.json, which a person may have edited.

Annotations are streamed, and read again at each request: a dataset may have a hundred thousand of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import numpy as np
from annotated_types import Ge, Gt, Len
from numpy.typing import NDArray
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked

from edgeloop.edge.host.opencv import require_image
from edgeloop.labeling.dataset.json_stream import check_lists, read_entries
from edgeloop.models.errors import DataError, NoInputError, first_validation_error
from edgeloop.models.weights.digest import file_sha256

__all__ = [
    "INSTANCES",
    "Annotation",
    "Category",
    "Image",
    "Instances",
    "image_path",
    "is_ours",
    "read_dataset_image",
    "read_instances",
]

INSTANCES = "instances.json"
"""File that `edgeloop label` writes beside data.yaml."""

_STRICT = ConfigDict(extra="ignore", allow_inf_nan=False)
_T = TypeVar("_T")


@checked(frozen=True, slots=True, config=_STRICT)
class Image:
    """A frame of the dataset.

    Attributes:
        id: Unique in its file.
        file_name: Path below the dataset's folder.
        width: Image width, px.
        height: Image height, px.
        source: Name of the frame's source.
        frame_index: Index of the frame in its source.
        split: Part of the dataset.
        group: Number of its recording or group of photos.
        by_person: True if a person drew its boxes before it was labeled.
    """

    id: int
    file_name: Annotated[str, Len(1)]
    width: Annotated[int, Gt(0)]
    height: Annotated[int, Gt(0)]
    source: str
    frame_index: int
    split: Literal["train", "val"]
    group: int = 0
    by_person: bool = False


@checked(frozen=True, slots=True, config=_STRICT)
class Annotation:
    """A label.

    Attributes:
        id: Unique in its file.
        image_id: `Image.id`.
        category_id: `Category.id`.
        bbox: xywh, pixels of the image.
        score: Label score, in [0, 1].
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
    """A class of the dataset."""

    id: int
    name: Annotated[str, Len(1, 100)]


@dataclass(frozen=True, slots=True)
class Instances:
    """Content of instances.json.

    Attributes:
        path: The file.
        digest: sha256 of the file.
        images: In the order of the file.
        categories: In the order of the file.
    """

    path: Path
    digest: str
    images: Sequence[Image]
    categories: Sequence[Category]

    def annotations(self) -> Iterator[Annotation]:
        """Read the labels in the order of the file; each is of one of the images and categories.

        Raises:
            NoInputError: The file is gone.
            DataError: A label is malformed, or of an image or a category that is not there.
        """
        images = {image.id for image in self.images}
        categories = {category.id for category in self.categories}
        for number, annotation in enumerate(_entries(self.path, "annotations", Annotation)):
            if annotation.image_id not in images or annotation.category_id not in categories:
                raise DataError(
                    f"{self.path}: annotations[{number}]: of an image or a category that is not there"
                )
            yield annotation


def read_instances(dataset: Path) -> Instances:
    """Read a dataset's instances.json; images are not opened.

    Raises:
        NoInputError: There is no such dataset.
        DataError: It is not one that `edgeloop label` wrote, an id is there twice, or a label is of an image
            or a category that is not there.
    """
    path = dataset / INSTANCES
    with _one_clear_error(path):
        check_lists(path, ("images", "categories", "annotations"))
    images = tuple(_entries(path, "images", Image))
    categories = tuple(_entries(path, "categories", Category))
    coco = Instances(path, file_sha256(path), images, categories)
    _check_ids(path, "images", (image.id for image in images))
    _check_ids(path, "categories", (category.id for category in categories))
    _check_ids(path, "annotations", (annotation.id for annotation in coco.annotations()))
    return coco


def is_ours(dataset: Path) -> bool:
    """True unless the images of a dataset's instances.json lack what `edgeloop label` writes."""
    try:
        first = next(read_entries(dataset / INSTANCES, "images"), None)
    except (OSError, ValueError):
        return True  # `read_instances` says what is wrong
    return not isinstance(first, dict) or not first.get("file_name") or {"split", "source"} <= first.keys()


def read_dataset_image(dataset: Path, image: Image) -> NDArray[np.uint8]:
    """Read an image of a dataset: HxWx3 uint8 BGR.

    Raises:
        NoInputError: It does not exist.
        DataError: It is outside the dataset, or cannot be read.
    """
    return require_image(image_path(dataset, image))


def image_path(dataset: Path, image: Image) -> Path:
    """Find the file of an image of a dataset.

    Raises:
        NoInputError: It does not exist.
        DataError: It is outside the dataset.
    """
    path = dataset / image.file_name
    if not path.resolve().is_relative_to(dataset.resolve()):
        raise DataError(f"{dataset / INSTANCES}: {image.file_name!r} lies outside the dataset")
    if not path.is_file():
        raise NoInputError(f"{path}: no such file, but {INSTANCES} lists it")
    return path


def _entries(path: Path, key: str, kind: type[_T]) -> Iterator[_T]:
    check = TypeAdapter(kind)
    with _one_clear_error(path):
        for number, entry in enumerate(read_entries(path, key)):
            try:
                checked_entry = check.validate_python(entry)
            except ValidationError as error:
                raise ValueError(f"{key}.{number}.{first_validation_error(error, 'entry')}") from error
            yield checked_entry


@contextmanager
def _one_clear_error(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise NoInputError(
            f"{path}: cannot be read ({error.strerror}); expected a dataset that edgeloop label wrote"
        ) from error
    except ValueError as error:
        raise DataError(f"{path}: not the {INSTANCES} of a dataset: {error}") from error


def _check_ids(path: Path, what: str, ids: Iterable[int]) -> None:
    seen = set()
    for number in ids:
        if number in seen:
            raise DataError(f"{path}: {what}: every id may be there only once")
        seen.add(number)
