"""Counts of a dataset or exemplars, and leaks between its training and validation frames."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.labels.label_problems import LabelProblem
from edgeloop.labeling.dataset.image_facts import measure_images
from edgeloop.labeling.dataset.read import INSTANCES, Image, image_path, is_ours, read_instances
from edgeloop.labeling.dataset.read_others import Shown, ShownImage, read_shown
from edgeloop.labeling.frames.perceptual_hash import HASH_BITS, nearest_hashes
from edgeloop.labeling.workers.workers import Workers
from edgeloop.models.errors import DataError, EdgeloopError

__all__ = ["DatasetStats", "Leak", "read_stats"]

_THIS_PROCESS = Workers()


@dataclass(frozen=True, slots=True)
class Leak:
    """A validation frame that is next to, or looks like, a training frame.

    Attributes:
        file: Path of the validation frame below the dataset.
        like: Path of the training frame.
        frames_apart: Distance in their recording, in frames; None if only the hashes are close.
        bits_apart: Hamming distance of their perceptual hashes, of 256 bits; None if the frames are close.
    """

    file: str
    like: str
    frames_apart: int | None
    bits_apart: int | None


@dataclass(frozen=True, slots=True)
class DatasetStats:
    """Counts over a dataset or exemplars.

    Attributes:
        kind: "labeled" by `edgeloop label`, "dataset" in Ultralytics' layout, "exemplars" or "crops".
        images: Images by split; exemplars are the split "exemplars".
        empty: Images without a label, by split.
        labels: Labels by class name and split.
        sides_px: 5th, 50th and 95th percentile of the square root of a box's area, by class name, px.
        prompts: Labels by prompter.
        leaks: Validation frames that leak.
        image_sizes: Images by "WIDTHxHEIGHT", the most frequent first.
        problems: Problems by kind.
    """

    kind: str
    images: Mapping[str, int]
    empty: Mapping[str, int]
    labels: Mapping[str, Mapping[str, int]]
    sides_px: Mapping[str, tuple[float, float, float]]
    prompts: Mapping[str, int]
    leaks: Sequence[Leak]
    image_sizes: Mapping[str, int]
    problems: Mapping[str, LabelProblem]

    @property
    def leaked_share(self) -> float:
        """Share of the validation frames that leak; 0 without validation frames."""
        return len(self.leaks) / max(self.images.get("val", 0), 1)


def read_stats(
    dataset: Path,
    *,
    within_frames: int,
    within_bits: int,
    images: Path | None = None,
    workers: Workers = _THIS_PROCESS,
    advance: Callable[[int], None] = lambda _: None,
) -> DatasetStats:
    """Count images and labels, and compare validation frames with training frames.

    Args:
        dataset: Folder that `edgeloop label` wrote, dataset as of `open_dataset`, exemplars as of
            `read_exemplars`, or folders of crops.
        within_frames: Validation frames at most this many frames from a training frame of their recording
            leak; only in what `edgeloop label` wrote.
        within_bits: Validation frames whose perceptual hash differs in at most this many of 256 bits leak.
        images: Folder of the images of exemplars; None if they are beside their labels.
        workers: Who reads the images; the counts are the same.
        advance: Called with 1 after each image.

    Raises:
        NoInputError: There is no such dataset, or an image of what `edgeloop label` wrote is missing.
        DataError: It cannot be read at all, or it has no image.
        UnavailableError: No worker can be started.
    """
    if not (dataset / INSTANCES).is_file() or not is_ours(dataset):
        shown = read_shown(dataset, images, workers, advance)
        return _count(shown, within_bits)
    coco = read_instances(dataset)
    if not coco.images:
        raise DataError(f"{coco.path}: there is no image in it, so there is nothing to count")
    split: dict[int, str] = {image.id: image.split for image in coco.images}
    names = {category.id: category.name for category in coco.categories}
    labels = {name: Counter[str]() for name in names.values()}
    sides = {name: array("d") for name in names.values()}
    prompts = Counter[str]()
    with_labels = set()
    for annotation in coco.annotations():
        name = names[annotation.category_id]
        labels[name][split[annotation.image_id]] += 1
        sides[name].append(math.sqrt(annotation.bbox[2] * annotation.bbox[3]))
        prompts[annotation.prompt] += 1
        with_labels.add(annotation.image_id)
    sizes = Counter(f"{image.width}x{image.height}" for image in coco.images)
    return DatasetStats(
        kind="labeled",
        images=dict(Counter(split.values())),
        empty=dict(Counter(of for image_id, of in split.items() if image_id not in with_labels)),
        labels={name: dict(count) for name, count in labels.items()},
        sides_px={name: _percentiles(values) for name, values in sides.items() if values},
        prompts=dict(prompts),
        leaks=_leaks(dataset, coco.images, within_frames, within_bits, workers, advance),
        image_sizes=dict(sizes.most_common()),
        problems={},
    )


def _count(shown: Shown, within_bits: int) -> DatasetStats:
    """Count what others made."""
    labels = {name: Counter[str]() for name in shown.names if name}
    sides = {name: array("d") for name in labels}
    for image in shown.images:
        for number, side in zip(image.class_id, image.sides_px, strict=True):
            labels[shown.names[number]][image.split] += 1
            sides[shown.names[number]].append(side)
    return DatasetStats(
        kind=shown.kind,
        images=dict(Counter(image.split for image in shown.images)),
        empty=dict(Counter(image.split for image in shown.images if not image.class_id)),
        labels={name: dict(count) for name, count in labels.items()},
        sides_px={name: _percentiles(values) for name, values in sides.items() if values},
        prompts={},
        leaks=_lookalikes(shown.images, within_bits),
        image_sizes=dict(Counter("{}x{}".format(*image.size) for image in shown.images).most_common()),
        problems=shown.problems,
    )


def _lookalikes(images: Sequence[ShownImage], within_bits: int) -> list[Leak]:
    train = [image for image in images if image.split == "train"]
    val = [image for image in images if image.split == "val"]
    if not train or not val:
        return []
    rows, bits = nearest_hashes(_stacked(own.code for own in val), _stacked(own.code for own in train))
    return [
        Leak(image.file, train[row].file, None, apart)
        for image, row, apart in zip(val, rows.tolist(), bits.tolist(), strict=True)
        if apart <= within_bits
    ]


def _percentiles(values: Sequence[float]) -> tuple[float, float, float]:
    low, middle, high = (round(float(value), 1) for value in np.percentile(values, (5, 50, 95)))
    return low, middle, high


def _leaks(
    dataset: Path,
    images: Sequence[Image],
    within_frames: int,
    within_bits: int,
    workers: Workers,
    advance: Callable[[int], None],
) -> list[Leak]:
    train = [image for image in images if image.split == "train"]
    val = [image for image in images if image.split == "val"]
    if not train or not val:
        return []
    nearest = _nearest_frames(val, train)
    beside = [
        other is not None and _frames_apart(image, other) <= within_frames
        for image, other in zip(val, nearest, strict=True)
    ]
    apart = [image for image, is_beside in zip(val, beside, strict=True) if not is_beside]
    codes = _stacked(_codes(dataset, [*train, *apart], workers, advance))
    rows, bits = nearest_hashes(codes[len(train) :], codes[: len(train)])
    lookalikes = zip(rows.tolist(), bits.tolist(), strict=True)
    leaks = []
    for image, other, is_beside in zip(val, nearest, beside, strict=True):
        if is_beside and other is not None:
            leaks.append(Leak(image.file_name, other.file_name, _frames_apart(image, other), None))
            advance(1)
            continue
        row, bits_apart = next(lookalikes)
        if bits_apart <= within_bits:
            leaks.append(Leak(image.file_name, train[row].file_name, None, bits_apart))
    return leaks


def _stacked(codes: Iterable[NDArray[np.bool_]]) -> NDArray[np.bool_]:
    """Stack hashes, bool (N, `HASH_BITS`)."""
    return np.array([*codes], np.bool_).reshape(-1, HASH_BITS)


def _nearest_frames(images: Sequence[Image], train: Sequence[Image]) -> list[Image | None]:
    """Find the closest training frame of the same recording for each image; None if there is none."""
    recordings: dict[tuple[str, int], list[Image]] = {}
    for other in sorted(train, key=_index):
        recordings.setdefault((other.source, other.group), []).append(other)
    nearest = []
    for image in images:
        same = recordings.get((image.source, image.group), [])
        at = bisect_left(same, image.frame_index, key=_index)
        around = same[max(0, at - 1) : at + 1]
        nearest.append(min(around, key=lambda other: _frames_apart(image, other), default=None))
    return nearest


def _index(image: Image) -> int:
    return image.frame_index


def _frames_apart(one: Image, other: Image) -> int:
    return abs(one.frame_index - other.frame_index)


def _codes(
    dataset: Path, images: Sequence[Image], workers: Workers, advance: Callable[[int], None]
) -> Iterator[NDArray[np.bool_]]:
    """Hash images, bool (256,) each; the first that cannot be read ends it."""
    paths: list[Path] = []
    refused: EdgeloopError | None = None
    for image in images:
        try:
            paths.append(image_path(dataset, image))
        except EdgeloopError as error:
            refused = error  # told after what is wrong with the images before it
            break
    for path, facts in measure_images(paths, workers, advance):
        if isinstance(facts, str):
            raise DataError(f"{path}: {facts}")
        yield facts.code
    if refused is not None:
        raise refused
