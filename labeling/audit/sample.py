"""Uniform random samples of boxes and frames of a dataset."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeloop.labeling.dataset.read import Annotation, Image, read_dataset_image, read_instances
from edgeloop.models.errors import DataError

__all__ = ["Sample", "SampledBox", "SampledFrame", "draw_sample"]

_HUMAN = "human"


@dataclass(frozen=True, slots=True)
class SampledBox:
    """A label that edgeloop made.

    Attributes:
        id: Id of the annotation in instances.json.
        path: The image.
        xyxy: Box, pixels of the image.
        class_id: Index into `Sample.names`.
        score: Label score, in [0, 1].
    """

    id: int
    path: Path
    xyxy: tuple[float, float, float, float]
    class_id: int
    score: float


@dataclass(frozen=True, slots=True, eq=False)
class SampledFrame:
    """A frame with all of its labels.

    Attributes:
        id: Id of the image in instances.json.
        path: The image.
        width: Image width, px.
        height: Image height, px.
        xyxy: float32 (N, 4), the boxes, pixels of the image.
        class_id: int64 (N,), index into `Sample.names`.
        by_person: bool (N,), True for labels that a person drew.
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
    """A sample in random order, so that its first part is a random sample too.

    Attributes:
        dataset: The folder.
        digest: sha256 of its instances.json.
        seed: Random seed.
        names: The classes.
        boxes: Drawn uniformly, without replacement, over all labels that no person drew.
        frames: Drawn uniformly, without replacement, over all frames.
        labels: Number of labels to draw from.
        images: Number of frames to draw from.
    """

    dataset: Path
    digest: str
    seed: int
    names: tuple[str, ...]
    boxes: tuple[SampledBox, ...]
    frames: tuple[SampledFrame, ...]
    labels: int
    images: int


def draw_sample(
    dataset: Path,
    *,
    boxes: int,
    frames: int,
    seed: int,
    advance: Callable[[int], None] = lambda _: None,
) -> Sample:
    """Draw boxes and frames of a dataset.

    Args:
        dataset: Folder that `edgeloop label` wrote.
        boxes: Number of labels to draw; all if there are fewer.
        frames: Number of frames to draw; all if there are fewer.
        seed: Random seed. The same seed draws the same sample from the same dataset.
        advance: Called with 1 after each image that was checked.

    Returns:
        The sample. Boxes and frames are drawn independently of each other.

    Raises:
        NoInputError: There is no such dataset, or an image of the sample is missing.
        DataError: It is not one that `edgeloop label` wrote, there is no label in it that edgeloop made, or
            an image of the sample cannot be read or is not of the size that it should be.
    """
    coco = read_instances(dataset)
    images = {image.id: image for image in coco.images}
    rows = {category.id: row for row, category in enumerate(coco.categories)}
    labels = sum(annotation.prompt != _HUMAN for annotation in coco.annotations())
    if not labels:
        raise DataError(
            f"{coco.path}: there is no label in it that edgeloop made, so there is nothing to audit"
        )
    rows_of_boxes = _draw(labels, boxes, np.random.default_rng([seed, 0]))
    drawn_frames = [coco.images[row] for row in _draw(len(images), frames, np.random.default_rng([seed, 1]))]
    found, on_frames = _find(coco.annotations(), set(rows_of_boxes), {image.id for image in drawn_frames})
    drawn_boxes = [found[row] for row in rows_of_boxes]
    looked_at = [images[box.image_id] for box in drawn_boxes] + drawn_frames
    for image in {image.id: image for image in looked_at}.values():
        _check_image(dataset, image)
        advance(1)
    return Sample(
        dataset=dataset,
        digest=coco.digest,
        seed=seed,
        names=tuple(category.name for category in coco.categories),
        boxes=tuple(
            SampledBox(
                id=box.id,
                path=dataset / images[box.image_id].file_name,
                xyxy=_corners(box),
                class_id=rows[box.category_id],
                score=box.score,
            )
            for box in drawn_boxes
        ),
        frames=tuple(_frame(dataset, image, on_frames[image.id], rows) for image in drawn_frames),
        labels=labels,
        images=len(images),
    )


def _draw(out_of: int, count: int, random: np.random.Generator) -> list[int]:
    return [int(row) for row in random.permutation(out_of)[:count]]


def _find(
    annotations: Iterable[Annotation], rows: Set[int], images: Set[int]
) -> tuple[dict[int, Annotation], dict[int, list[Annotation]]]:
    """Collect labels that edgeloop made, by row among those, and all labels of some images, by `Image.id`."""
    made: dict[int, Annotation] = {}
    on_images: dict[int, list[Annotation]] = {image_id: [] for image_id in images}
    row = 0
    for annotation in annotations:
        if annotation.image_id in images:
            on_images[annotation.image_id].append(annotation)
        if annotation.prompt != _HUMAN:
            if row in rows:
                made[row] = annotation
            row += 1
    return made, on_images


def _check_image(dataset: Path, image: Image) -> None:
    height, width = read_dataset_image(dataset, image).shape[:2]
    if (width, height) != (image.width, image.height):
        raise DataError(
            f"{dataset / image.file_name}: expected {image.width}x{image.height} as instances.json says, "
            f"got {width}x{height}"
        )


def _corners(annotation: Annotation) -> tuple[float, float, float, float]:
    x, y, width, height = annotation.bbox
    return x, y, x + width, y + height


def _frame(dataset: Path, image: Image, own: Sequence[Annotation], rows: dict[int, int]) -> SampledFrame:
    return SampledFrame(
        id=image.id,
        path=dataset / image.file_name,
        width=image.width,
        height=image.height,
        xyxy=np.array([_corners(one) for one in own], np.float32).reshape(-1, 4),
        class_id=np.array([rows[one.category_id] for one in own], np.int64),
        by_person=np.array([one.prompt == _HUMAN for one in own], np.bool_),
    )
