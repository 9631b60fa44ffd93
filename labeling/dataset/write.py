"""Writer of datasets that Ultralytics and COCO tools open."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pycocotools import mask as rle

from edgeloop.edge.frames.folder import FrameEntry
from edgeloop.labeling.dataset.json_stream import JsonStreamWriter, open_json_stream
from edgeloop.labeling.dataset.split import Split
from edgeloop.labeling.frames.frame_store import FrameStore
from edgeloop.labeling.label_text import label_text
from edgeloop.labeling.ledger import FrameResult, Label
from edgeloop.models.errors import DataError
from edgeloop.models.task import Task
from edgeloop.models.weights.digest import BoxesDigest, DatasetDigest

__all__ = [
    "DatasetReport",
    "DatasetTally",
    "LabeledFrame",
    "annotation_of",
    "dataset_digest",
    "unsure_of",
    "write_dataset",
]

_SPLITS = (Split.TRAIN, Split.VAL)
_READ_AHEAD = 8  # images: object storage takes long to answer, and answers several at once


@dataclass(frozen=True, slots=True)
class LabeledFrame:
    """A frame with its split, its labels and the number of its recording or group of photos."""

    entry: FrameEntry
    split: Split
    result: FrameResult
    group: int = 0


@dataclass(frozen=True, slots=True)
class DatasetReport:
    """Counts of a written dataset.

    Attributes:
        images: Images by split; `gap` counts frames that were left out.
        empty: Images without a label, all splits.
        labels: Labels by class name and split.
        unsure: Unsure labels by class name.
        set_aside: Frames that were set aside, such as unreadable ones.
        digest: sha256 over names, file names, images and labels, as `edgeloop train` computes it.
        rectangles: Labels without a mask, whose polygon is the rectangle of their box; None if labels are
            boxes.
    """

    images: dict[str, int]
    empty: int
    labels: dict[str, dict[str, int]]
    unsure: dict[str, int]
    set_aside: int
    digest: str
    rectangles: int | None = None


def write_dataset(
    folder: Path,
    names: Sequence[str],
    frames: Iterable[LabeledFrame],
    store: FrameStore,
    info: dict[str, Any],
    *,
    task: Task = "detect",
) -> DatasetReport:
    """Write images/, labels/, data.yaml, instances.json and review.json.

    Args:
        folder: New folder.
        names: Classes; `Label.class_id` is an index into them.
        frames: Frames in time order. Memory does not grow with their number.
        store: Place of the images, which are copied.
        info: Settings of the job, for instances.json.
        task: Content of labels/: boxes, or for "segment" polygons.

    Raises:
        DataError: An image is gone.
        UnavailableError: The store does not answer.
    """
    for split in _SPLITS:
        (folder / "images" / split.value).mkdir(parents=True)
        (folder / "labels" / split.value).mkdir(parents=True)
    _write_config(folder / "data.yaml", names)
    tally, boxes, rectangles = DatasetTally(names), BoxesDigest(), 0
    with (
        open_json_stream(folder / "instances.json", ("images", "annotations")) as coco,
        open_json_stream(folder / "review.json", ("unsure", "set_aside")) as review,
    ):
        for frame, image in _read_ahead(frames, store):
            tally.add(frame)
            _list_for_review(frame, names, review)
            if image is not None:
                rectangles += _write_image(folder, frame, _image(image, f"{store}/{frame.entry.file}"), task)
                _list_in_coco(frame, coco)
                for label in frame.result.labels:
                    boxes.add(_file_name(frame), names[label.class_id], _bbox(label))
        digest = dataset_digest(folder, names)
        categories = [{"id": number, "name": name} for number, name in enumerate(names, start=1)]
        told = {**info, "digest": digest, "boxes_digest": boxes.hexdigest()}
        if task != "detect":
            told["task"] = task
        coco.write(info=told, categories=categories)
        review.write()
    return tally.report(digest, rectangles if task == "segment" else None)


def _read_ahead(
    frames: Iterable[LabeledFrame], store: FrameStore
) -> Iterator[tuple[LabeledFrame, Future[bytes] | None]]:
    """Frames in order, with the image of each that belongs into the dataset."""
    with ThreadPoolExecutor(_READ_AHEAD) as pool:
        ahead: deque[tuple[LabeledFrame, Future[bytes] | None]] = deque()
        for frame in frames:
            is_copied = frame.result.problem is None and frame.split is not Split.GAP
            ahead.append((frame, pool.submit(store.read, frame.entry.file) if is_copied else None))
            if len(ahead) > _READ_AHEAD:
                yield ahead.popleft()
        yield from ahead


def _image(image: Future[bytes], name: str) -> bytes:
    try:
        return image.result()
    except OSError as error:
        raise DataError(f"{name}: was labeled, and cannot be read any more ({error.strerror})") from error


class DatasetTally:
    """Counts of the frames so far."""

    def __init__(self, names: Sequence[str]) -> None:
        """Start without frames; `Label.class_id` is an index into `names`."""
        self._names = names
        self._images, self._unsure = Counter[str](), Counter[str]()
        self._labels = {name: Counter[str]() for name in names}
        self._empty = self._set_aside = 0

    def add(self, frame: LabeledFrame) -> None:
        """Count a frame."""
        if frame.result.problem is not None:
            self._set_aside += 1
            return
        self._images[frame.split.value] += 1
        self._unsure.update(self._names[label.class_id] for label in frame.result.unsure)
        if frame.split is Split.GAP:
            return
        self._empty += not frame.result.labels
        for label in frame.result.labels:
            self._labels[self._names[label.class_id]][frame.split.value] += 1

    def report(self, digest: str, rectangles: int | None) -> DatasetReport:
        """Report the counts; see `DatasetReport` for the arguments."""
        return DatasetReport(
            images={split.value: self._images[split.value] for split in Split},
            empty=self._empty,
            labels={
                name: {split.value: count[split.value] for split in _SPLITS}
                for name, count in self._labels.items()
            },
            unsure={name: self._unsure[name] for name in self._names},
            set_aside=self._set_aside,
            digest=digest,
            rectangles=rectangles,
        )


def _write_config(path: Path, names: Sequence[str]) -> None:
    config = {"train": "images/train", "val": "images/val", "names": dict(enumerate(names))}
    path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")


def _write_image(folder: Path, frame: LabeledFrame, image: bytes, task: Task) -> int:
    """Write an image and its labels; the number of labels without a mask, see `DatasetReport`."""
    split, name = frame.split.value, Path(frame.entry.name)
    (folder / "images" / split / name).write_bytes(image)
    written = label_text(frame.result, task)
    (folder / "labels" / split / name.with_suffix(".txt")).write_text(written.text, "ascii")
    return written.rectangles


def _list_in_coco(frame: LabeledFrame, coco: JsonStreamWriter) -> None:
    entry, result, split = frame.entry, frame.result, frame.split.value
    image_id = coco.count("images") + 1
    coco.add(
        "images",
        {
            "id": image_id,
            "file_name": _file_name(frame),
            "width": result.width,
            "height": result.height,
            "source": entry.source,
            "frame_index": entry.index,
            "time_s": entry.time_s,
            "split": split,
            "group": frame.group,
            "by_person": result.by_person,
        },
    )
    for label in result.labels:
        number = coco.count("annotations") + 1
        coco.add("annotations", {"id": number, "image_id": image_id, **annotation_of(label, result)})


def annotation_of(label: Label, result: FrameResult) -> dict[str, Any]:
    """Annotation of a label in instances.json, without its id and that of its image."""
    segmentation = {
        "size": [result.height, result.width],
        "counts": label.counts or _filled_box(label, result),
    }
    return {
        "category_id": label.class_id + 1,
        "bbox": _bbox(label),
        "area": int(rle.area(segmentation)),
        "segmentation": segmentation,
        "iscrowd": 0,
        "score": label.score,
        "prompt": label.prompt,
        "mask_from": label.mask_from if label.counts else "box",
        "sam_score": label.sam_score,
    }


def _file_name(frame: LabeledFrame) -> str:
    return f"images/{frame.split.value}/{frame.entry.name}"


def _bbox(label: Label) -> list[float]:
    """Convert to COCO's xywh, rounded to 0.01 px."""
    x1, y1, x2, y2 = label.xyxy
    return [x1, y1, round(x2 - x1, 2), round(y2 - y1, 2)]


def _filled_box(label: Label, result: FrameResult) -> str:
    """Encode the box as a mask, for COCO tools expect one of every object; `mask_from` says "box"."""
    x1, y1, x2, y2 = label.xyxy
    (mask,) = rle.frPyObjects([[x1, y1, x2, y1, x2, y2, x1, y2]], result.height, result.width)
    counts: bytes = mask["counts"]
    return counts.decode("ascii")


def _list_for_review(frame: LabeledFrame, names: Sequence[str], review: JsonStreamWriter) -> None:
    """List a frame's unsure labels, or the reason to set it aside."""
    if frame.result.problem is not None:
        review.add("set_aside", {"file": frame.entry.name, "reason": frame.result.problem})
    for label in frame.result.unsure:
        review.add("unsure", unsure_of(label, frame.entry.name, frame.split.value, names))


def unsure_of(label: Label, file: str, split: str, names: Sequence[str]) -> dict[str, Any]:
    """Entry of an unsure label in review.json."""
    return {
        "file": file,
        "split": split,
        "bbox": _bbox(label),
        "maybe": names[label.class_id],
        "score": label.score,
        "prompt": label.prompt,
    }


def dataset_digest(folder: Path, names: Sequence[str]) -> str:
    """Digest of a dataset of ours, as `edgeloop train` computes it; reads every image."""
    digest = DatasetDigest(names)
    for split in _SPLITS:
        images = folder / "images" / split.value
        for path in sorted(images.iterdir()):
            labels = (folder / "labels" / split.value / path.name).with_suffix(".txt").read_bytes()
            digest.add(split.value, path.name, path.read_bytes(), labels)
    return digest.hexdigest()
