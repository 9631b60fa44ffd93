"""Labels of the dataset that was made, by frame."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from edgeloop.edge.host.file_version import file_version
from edgeloop.labeling.dataset.read import INSTANCES, read_instances
from edgeloop.labeling.studio.label_outlines import Polygons, label_outlines

__all__ = ["FinishedDataset", "LabeledFrame", "ScoredBox"]


@dataclass(frozen=True, slots=True)
class ScoredBox:
    """Box with a class name and a score.

    Attributes:
        xyxy: Corners x1, y1, x2, y2 in pixels of the frame.
        polygons: Outlines of its parts, each x, y, x, y, ... in pixels of the frame; none if they were not
            asked for.
    """

    xyxy: tuple[float, float, float, float]
    name: str
    score: float
    polygons: Polygons = ()


@dataclass(frozen=True, slots=True)
class LabeledFrame:
    """Labels of one frame; `split` is "train", "val", or "" while it is being labeled."""

    width: int
    height: int
    split: str
    boxes: tuple[ScoredBox, ...]


class FinishedDataset:
    """Reads a dataset that `edgeloop label` wrote, once for each version of it."""

    def __init__(self, dataset: Path) -> None:
        """Read from a folder, which need not exist yet."""
        self._dataset = dataset
        self._lock = threading.Lock()
        self._version: object = None
        self._names: tuple[str, ...] = ()
        self._frames: dict[str, LabeledFrame] = {}
        self._promise: dict[str, Any] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Class names; empty if there is no dataset."""
        self._load()
        return self._names

    @property
    def frames(self) -> Mapping[str, LabeledFrame]:
        """Frames of its training and validation part, by the name of the frame.

        Raises:
            DataError: The dataset is malformed.
        """
        self._load()
        return self._frames

    def outlined(self, frame: str) -> tuple[ScoredBox, ...]:
        """Labels of a frame with their polygons, if the dataset is labeled for masks.

        Raises:
            DataError: The dataset is malformed.
        """
        own = self.frames[frame]
        boxes = [(box.name, box.xyxy) for box in own.boxes]
        shapes = label_outlines(self._dataset, frame, (own.width, own.height), self.names, boxes)
        return tuple(replace(box, polygons=shape) for box, shape in zip(own.boxes, shapes, strict=True))

    @property
    def promise(self) -> dict[str, Any] | None:
        """Expected quality, fields as of `labeling.engine.promise.Promise`; None if unknown."""
        self._load()
        return self._promise

    def _load(self) -> None:
        path = self._dataset / INSTANCES
        with self._lock:
            version = file_version(path)
            if version == self._version:
                return
            names, frames, promise = ((), {}, None) if version is None else _read(self._dataset)
            self._names, self._frames, self._promise, self._version = names, frames, promise, version


def _read(dataset: Path) -> tuple[tuple[str, ...], dict[str, LabeledFrame], dict[str, Any] | None]:
    coco = read_instances(dataset)
    names = {category.id: category.name for category in coco.categories}
    boxes: dict[int, list[ScoredBox]] = {image.id: [] for image in coco.images}
    for label in coco.annotations():
        x, y, width, height = label.bbox
        box = ScoredBox((x, y, x + width, y + height), names[label.category_id], label.score)
        boxes[label.image_id].append(box)
    frames = {
        # images/SPLIT/NAME, as `edgeloop label` names them
        "/".join(PurePosixPath(image.file_name).parts[2:]): LabeledFrame(
            image.width, image.height, image.split, tuple(boxes[image.id])
        )
        for image in coco.images
    }
    return tuple(names.values()), frames, _promise(coco.path)


def _promise(path: Path) -> dict[str, Any] | None:
    """Read the promise from the first line of instances.json, which can be a large file."""
    with path.open(encoding="utf-8") as file:
        line = file.readline(1 << 16)
    try:
        found: dict[str, Any] | None = json.loads(line.rstrip().rstrip(",") + "}")["info"].get("promise")
    except (ValueError, LookupError, AttributeError, TypeError):
        return None
    return found
