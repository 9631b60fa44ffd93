"""instances.json of a dataset, read back strictly: a person may have edited what `edgeloop label` wrote.

Labels are read one by one, again for each who asks: a dataset has a hundred thousand of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import numpy as np
from annotated_types import Ge, Gt, Len
from numpy.typing import NDArray
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked

from edgeloop.edge.host.opencv import require_image
from edgeloop.labeling.dataset.json_stream import read_entries
from edgeloop.models.errors import DataError, NoInputError, first_validation_error
from edgeloop.models.weights.digest import file_sha256

__all__ = ["Annotation", "Category", "Image", "Instances", "read_instances", "read_dataset_image"]

_NAME = "instances.json"
_STRICT = ConfigDict(extra="ignore", allow_inf_nan=False)
_T = TypeVar("_T")


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


@dataclass(frozen=True, slots=True)
class Instances:
    """What the file says.

    Attributes:
        path: The file.
        digest: sha256 of its bytes.
        images: In the order of the file.
        categories: In the order of the file.
    """

    path: Path
    digest: str
    images: Sequence[Image]
    categories: Sequence[Category]

    def annotations(self) -> Iterator[Annotation]:
        """Read the labels from the file.

        Yields:
            Each in the order of the file, of one of the images and categories.

        Raises:
            NoInputError: The file is gone.
            DataError: It is no longer what it was.
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
    images = tuple(_entries(path, "images", Image))
    categories = tuple(_entries(path, "categories", Category))
    coco = Instances(path, file_sha256(path), images, categories)
    _check_ids(path, "images", (image.id for image in images))
    _check_ids(path, "categories", (category.id for category in categories))
    _check_ids(path, "annotations", (annotation.id for annotation in coco.annotations()))
    return coco


def read_dataset_image(dataset: Path, image: Image) -> NDArray[np.uint8]:
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


def _entries(path: Path, key: str, kind: type[_T]) -> Iterator[_T]:
    """The entries of one of the file's lists."""
    check = TypeAdapter(kind)
    where = None
    try:
        for (name, *place), value in read_entries(path):
            if name != key:
                continue
            where = ".".join(map(str, (name, *place)))
            if place:
                yield check.validate_python(value)
            elif value != []:
                raise _not_ours(path, f"{key}: expected a list")
    except OSError as error:
        raise NoInputError(
            f"{path}: cannot be read ({error.strerror}); expected a dataset that edgeloop label wrote"
        ) from error
    except ValidationError as error:
        raise _not_ours(path, f"{where}.{first_validation_error(error, 'entry')}") from error
    except ValueError as error:
        raise _not_ours(path, f"no JSON object: {error}") from error
    if where is None:
        raise _not_ours(path, f"{key}: Field required")


def _not_ours(path: Path, mistake: str) -> DataError:
    return DataError(f"{path}: not the {_NAME} of a dataset: {mistake}")


def _check_ids(path: Path, what: str, ids: Iterable[int]) -> None:
    seen = set()
    for number in ids:
        if number in seen:
            raise DataError(f"{path}: {what}: every id may be there only once")
        seen.add(number)
