"""The dataset on disk: one folder that Ultralytics and COCO tools both open."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from pycocotools import mask as rle

from labeling.frames import FrameEntry
from labeling.ledger import FrameResult, Label
from labeling.split import Split
from models.digest import DatasetDigest

__all__ = ["DatasetReport", "LabelledFrame", "write_dataset"]

_SPLITS = (Split.TRAIN, Split.VAL)


@dataclass(frozen=True, slots=True)
class LabelledFrame:
    """A frame, where it goes, and what is on it."""

    entry: FrameEntry
    split: Split
    result: FrameResult


@dataclass(frozen=True, slots=True)
class DatasetReport:
    """What was written.

    Attributes:
        images: By split; `gap` counts frames that were left out.
        empty: Images without a label, all splits.
        labels: By class name and split.
        unsure: By class name.
        set_aside: Frames that could not be read.
        digest: sha256 over names, file names, images and labels, as `edgeloop train` computes it.
    """

    images: dict[str, int]
    empty: int
    labels: dict[str, dict[str, int]]
    unsure: dict[str, int]
    set_aside: int
    digest: str


def write_dataset(
    folder: Path,
    names: Sequence[str],
    frames: Iterable[LabelledFrame],
    frames_folder: Path,
    info: dict[str, Any],
) -> DatasetReport:
    """Write images/, labels/, data.yaml, instances.json and review.json.

    Args:
        folder: New folder.
        names: Classes; `Label.class_id` points into them.
        frames: In the order in which they were taken.
        frames_folder: Where the images are; they are copied.
        info: How the labels were made, for instances.json.

    Returns:
        What was written.
    """
    for split in _SPLITS:
        (folder / "images" / split.value).mkdir(parents=True)
        (folder / "labels" / split.value).mkdir(parents=True)
    coco = _CocoFile(names, info)
    review = _Review(names)
    images, labels, empty = Counter[str](), {name: Counter[str]() for name in names}, 0
    for frame in frames:
        review.add(frame)
        if frame.result.problem is not None:
            continue
        images[frame.split.value] += 1
        if frame.split is Split.GAP:
            continue
        empty += not frame.result.labels
        for label in frame.result.labels:
            labels[names[label.class_id]][frame.split.value] += 1
        _write_image(folder, frame, frames_folder)
        coco.add(frame)
    _write_config(folder / "data.yaml", names)
    digest = _digest(folder, names)
    coco.write(folder / "instances.json", digest)
    review.write(folder / "review.json")
    return DatasetReport(
        images={split.value: images[split.value] for split in Split},
        empty=empty,
        labels={
            name: {split.value: count[split.value] for split in _SPLITS} for name, count in labels.items()
        },
        unsure={name: review.by_class[name] for name in names},
        set_aside=len(review.set_aside),
        digest=digest,
    )


def _write_config(path: Path, names: Sequence[str]) -> None:
    config = {"train": "images/train", "val": "images/val", "names": dict(enumerate(names))}
    path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")


def _write_image(folder: Path, frame: LabelledFrame, frames_folder: Path) -> None:
    split, name = frame.split.value, Path(frame.entry.file)
    shutil.copyfile(frames_folder / name, folder / "images" / split / name)
    size = np.array([frame.result.width, frame.result.height] * 2)
    lines = []
    for label in frame.result.labels:
        x1, y1, x2, y2 = np.array(label.xyxy) / size
        lines.append(
            f"{label.class_id} {(x1 + x2) / 2:.6f} {(y1 + y2) / 2:.6f} {x2 - x1:.6f} {y2 - y1:.6f}\n"
        )
    (folder / "labels" / split / name.with_suffix(".txt")).write_text("".join(lines), encoding="ascii")


class _CocoFile:
    """instances.json while it grows."""

    def __init__(self, names: Sequence[str], info: dict[str, Any]) -> None:
        self._info = info
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []
        self._categories = [{"id": number, "name": name} for number, name in enumerate(names, start=1)]

    def add(self, frame: LabelledFrame) -> None:
        entry, result, split = frame.entry, frame.result, frame.split.value
        self._images.append(
            {
                "id": len(self._images) + 1,
                "file_name": f"images/{split}/{entry.file}",
                "width": result.width,
                "height": result.height,
                "source": entry.source,
                "frame_index": entry.index,
                "time_s": entry.time_s,
                "split": split,
            }
        )
        for label in result.labels:
            self._annotate(label, result)

    def _annotate(self, label: Label, result: FrameResult) -> None:
        segmentation = {
            "size": [result.height, result.width],
            "counts": label.counts or _filled_box(label, result),
        }
        self._annotations.append(
            {
                "id": len(self._annotations) + 1,
                "image_id": len(self._images),
                "category_id": label.class_id + 1,
                "bbox": _bbox(label),
                "area": int(rle.area(segmentation)),
                "segmentation": segmentation,
                "iscrowd": 0,
                "score": label.score,
                "prompt": label.prompt,
                "mask_from": "sam" if label.counts else "box",
                "sam_score": label.sam_score,
            }
        )

    def write(self, path: Path, digest: str) -> None:
        coco = {
            "info": {**self._info, "digest": digest},
            "images": self._images,
            "annotations": self._annotations,
            "categories": self._categories,
        }
        path.write_text(json.dumps(coco), encoding="utf-8")


def _bbox(label: Label) -> list[float]:
    """COCO's xywh, without the long tails of a subtraction."""
    x1, y1, x2, y2 = label.xyxy
    return [x1, y1, round(x2 - x1, 2), round(y2 - y1, 2)]


def _filled_box(label: Label, result: FrameResult) -> str:
    """COCO tools expect a mask of every object; `mask_from` tells that this one is only the box."""
    x1, y1, x2, y2 = label.xyxy
    (mask,) = rle.frPyObjects([[x1, y1, x2, y1, x2, y2, x1, y2]], result.height, result.width)
    counts: bytes = mask["counts"]
    return counts.decode("ascii")


class _Review:
    """review.json: what a person should look at."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._unsure: list[dict[str, Any]] = []
        self.set_aside: list[dict[str, str]] = []
        self.by_class = Counter[str]()

    def add(self, frame: LabelledFrame) -> None:
        if frame.result.problem is not None:
            self.set_aside.append({"file": frame.entry.file, "reason": frame.result.problem})
        for label in frame.result.unsure:
            name = self._names[label.class_id]
            self.by_class[name] += 1
            self._unsure.append(
                {
                    "file": frame.entry.file,
                    "split": frame.split.value,
                    "bbox": _bbox(label),
                    "maybe": name,
                    "score": label.score,
                    "prompt": label.prompt,
                }
            )

    def write(self, path: Path) -> None:
        review = {"unsure": self._unsure, "set_aside": self.set_aside}
        path.write_text(json.dumps(review, indent=1), encoding="utf-8")


def _digest(folder: Path, names: Sequence[str]) -> str:
    digest = DatasetDigest(names)
    for split in _SPLITS:
        images = folder / "images" / split.value
        for path in sorted(images.iterdir()):
            labels = (folder / "labels" / split.value / path.name).with_suffix(".txt").read_bytes()
            digest.add(split.value, path.name, path.read_bytes(), labels)
    return digest.hexdigest()
