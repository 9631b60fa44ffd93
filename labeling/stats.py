"""What is in a dataset, and whether its validation frames are really unseen."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.opencv import read_image
from labeling.looks import measured, perceptual_hash
from models.errors import DataError, NoInputError

__all__ = ["DatasetStats", "Leak", "read_stats"]

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Leak:
    """A validation frame that is next to, or looks like, a training frame.

    Attributes:
        file: Of the validation frame, below the dataset.
        like: Of the training frame.
        frames_apart: Frames between them in their source; None where it is the looks that tell.
        bits_apart: Hamming distance of their perceptual hashes, of 256 bits; None where their places tell.
    """

    file: str
    like: str
    frames_apart: int | None
    bits_apart: int | None


@dataclass(frozen=True, slots=True)
class DatasetStats:
    """Counts over a dataset.

    Attributes:
        images: By split.
        empty: Images without a label, by split.
        labels: By class name and split.
        sides_px: 5th, 50th and 95th percentile of the square root of a box's area, by class name, px.
        prompts: Labels by what led to them.
        leaks: Validation frames that are not unseen.
    """

    images: Mapping[str, int]
    empty: Mapping[str, int]
    labels: Mapping[str, Mapping[str, int]]
    sides_px: Mapping[str, tuple[float, float, float]]
    prompts: Mapping[str, int]
    leaks: Sequence[Leak]

    @property
    def leaked_share(self) -> float:
        """Share of the validation frames that are not unseen; 0 without any."""
        return len(self.leaks) / max(self.images.get("val", 0), 1)


def read_stats(
    dataset: Path,
    *,
    within_frames: int,
    within_bits: int,
    advance: Callable[[int], None] = lambda steps: None,
) -> DatasetStats:
    """Count what is in a dataset, and compare its validation frames with its training frames.

    Args:
        dataset: Folder that `edgeloop label` wrote.
        within_frames: A validation frame so many frames from a training frame of its source, or fewer, leaks.
        within_bits: So does one whose perceptual hash differs in so many of 256 bits, or fewer.
        advance: Called with 1 after each image.

    Returns:
        The counts.

    Raises:
        NoInputError: There is no such dataset, or an image of it is missing.
        DataError: It is not one that `edgeloop label` wrote, or an image cannot be read.
    """
    coco = _read(dataset / "instances.json")
    images, annotations = coco["images"], coco["annotations"]
    split = {image["id"]: image["split"] for image in images}
    names = {category["id"]: category["name"] for category in coco["categories"]}
    labels = {name: Counter[str]() for name in names.values()}
    sides: dict[str, list[float]] = {name: [] for name in names.values()}
    for annotation in annotations:
        name = names[annotation["category_id"]]
        labels[name][split[annotation["image_id"]]] += 1
        sides[name].append(float(np.sqrt(annotation["bbox"][2] * annotation["bbox"][3])))
    labelled = {annotation["image_id"] for annotation in annotations}
    return DatasetStats(
        images=dict(Counter(split.values())),
        empty=dict(Counter(of for image_id, of in split.items() if image_id not in labelled)),
        labels={name: dict(count) for name, count in labels.items()},
        sides_px={name: _percentiles(values) for name, values in sides.items() if values},
        prompts=dict(Counter(annotation["prompt"] for annotation in annotations)),
        leaks=_leaks(dataset, images, within_frames, within_bits, advance),
    )


def _read(path: Path) -> Json:
    try:
        coco: Json = json.loads(path.read_text(encoding="utf-8"))
        missing = {"images", "annotations", "categories"} - coco.keys()
        missing |= {"split", "source", "frame_index"} - (coco["images"] or [{}])[0].keys()
    except FileNotFoundError as error:
        raise NoInputError(f"{path}: no such file; expected a dataset that edgeloop label wrote") from error
    except (ValueError, KeyError, AttributeError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not the instances.json of a dataset ({error})") from error
    if missing:
        raise DataError(f"{path}: has no {', '.join(sorted(missing))}; expected what edgeloop label writes")
    return coco


def _percentiles(values: Sequence[float]) -> tuple[float, float, float]:
    low, middle, high = (round(float(value), 1) for value in np.percentile(values, (5, 50, 95)))
    return low, middle, high


def _leaks(
    dataset: Path,
    images: Sequence[Json],
    within_frames: int,
    within_bits: int,
    advance: Callable[[int], None],
) -> list[Leak]:
    train = [image for image in images if image["split"] == "train"]
    val = [image for image in images if image["split"] == "val"]
    if not train or not val:
        return []
    codes = np.stack([_code(dataset / image["file_name"], advance) for image in train])
    leaks = []
    for image in val:
        place, apart = _nearest(image, train)
        if apart is not None and apart <= within_frames:
            leaks.append(Leak(image["file_name"], train[place]["file_name"], apart, None))
            advance(1)
            continue
        bits = (codes != _code(dataset / image["file_name"], advance)).sum(axis=1)
        if bits.min() <= within_bits:
            like = train[int(bits.argmin())]["file_name"]
            leaks.append(Leak(image["file_name"], like, None, int(bits.min())))
    return leaks


def _nearest(image: Json, train: Sequence[Json]) -> tuple[int, int | None]:
    """Row of the training frame of the same source that is closest, and how many frames away it is."""
    apart = [
        abs(other["frame_index"] - image["frame_index"]) if other["source"] == image["source"] else None
        for other in train
    ]
    known = [(distance, row) for row, distance in enumerate(apart) if distance is not None]
    return (min(known)[1], min(known)[0]) if known else (0, None)


def _code(path: Path, advance: Callable[[int], None]) -> NDArray[np.bool_]:
    if not path.is_file():
        raise NoInputError(f"{path}: no such file, but instances.json lists it")
    image = read_image(path)
    if image is None:
        raise DataError(f"{path}: not an image that can be read (corrupt or cut off)")
    advance(1)
    code: NDArray[np.bool_] = perceptual_hash(measured(image)).hash.ravel()
    return code
