"""A person's decisions applied to a dataset on disk."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ijson
from pydantic import ValidationError

from edgeloop.edge.host.durable_file import replace_file
from edgeloop.labeling.dataset.decisions import Decision, by_frame, decide_frame
from edgeloop.labeling.dataset.json_stream import (
    JsonStreamWriter,
    check_lists,
    open_json_stream,
    read_entries,
)
from edgeloop.labeling.dataset.read import INSTANCES, Image, read_instances
from edgeloop.labeling.dataset.write import annotation_of, dataset_digest, unsure_of
from edgeloop.labeling.label_text import label_text
from edgeloop.labeling.ledger import FrameResult, Label
from edgeloop.models.errors import DataError, UnavailableError, describe_damage
from edgeloop.models.task import Task
from edgeloop.models.weights.digest import BoxesDigest

__all__ = [
    "ORIGINALS",
    "REVIEW",
    "DatasetFrame",
    "apply_decisions",
    "change_task",
    "count_rectangles",
    "decisions_digest",
    "is_applied",
    "keep_original",
    "read_info",
    "read_originals",
    "read_results",
    "read_task",
    "text_path",
]

ORIGINALS = "before_review.jsonl"
"""Results of decided frames as they were found, one `FrameResult` a line, for undoing."""

REVIEW = "review.json"
"""File of what is unsure or set aside."""

_APPLYING = ".applying"  # is there while text files may be ahead of instances.json


@dataclass(frozen=True, slots=True)
class DatasetFrame:
    """Frame of a dataset; `image` is None if it is only in review.json, as frames in a gap are."""

    image: Image | None
    result: FrameResult


def read_task(folder: Path) -> Task:
    """Read what the labels of a dataset are: boxes, or for "segment" polygons.

    Raises:
        DataError: Its instances.json cannot be read.
    """
    return "segment" if read_info(folder).get("task") == "segment" else "detect"


def decisions_digest(decisions: Iterable[Decision]) -> str:
    """Digest of decisions, 64 hexadecimal digits; empty if there is none."""
    digest, any_line = hashlib.sha256(), False
    for decision in decisions:
        digest.update(decision.model_dump_json().encode() + b"\n")
        any_line = True
    return digest.hexdigest() if any_line else ""


def is_applied(folder: Path, decisions: Iterable[Decision]) -> bool:
    """True if a dataset already shows these decisions, and no others.

    Raises:
        DataError: Its instances.json cannot be read.
    """
    return str(read_info(folder).get("decisions", "")) == decisions_digest(decisions)


def keep_original(folder: Path, result: FrameResult) -> None:
    """Append the result of a frame to `ORIGINALS`, before a decision changes it."""
    with (folder / ORIGINALS).open("ab") as file:
        file.write(result.model_dump_json().encode() + b"\n")


def apply_decisions(folder: Path, decisions: Sequence[Decision]) -> None:
    """Make a dataset show these decisions, and no others; a second time changes nothing.

    Every file is replaced as a whole: first the text files of the frames, instances.json last. A crash leaves
    a dataset whose frames each have all their labels; the next call finishes the work.

    Raises:
        NoInputError: There is no such dataset.
        DataError: The dataset is malformed, or was edited in another tool.
        UnavailableError: A file cannot be written.
    """
    coco = read_instances(folder)
    if is_applied(folder, decisions):
        return
    names, task = [category.name for category in coco.categories], read_task(folder)
    wanted = by_frame(decisions)
    originals = read_originals(folder)
    before = read_results(folder, {*wanted, *originals})
    try:
        _keep_originals(folder, [own.result for file, own in before.items() if file not in originals])
        interrupted = (folder / _APPLYING).exists()
        (folder / _APPLYING).touch()
        after: dict[str, DatasetFrame] = {}
        for file, own in before.items():
            original = originals.get(file, own.result)
            is_fixed = own.image is not None and own.image.by_person
            decided = original if is_fixed else decide_frame(original, wanted.get(file, ()), names)
            after[file] = DatasetFrame(own.image, decided)
            if own.image is not None:
                known = None if interrupted else [label_text(own.result, task).text]
                _replace_text(folder, own.image, known, label_text(decided, task).text)
        _rewrite_review(folder, names, after)
        _rewrite_instances(folder, names, after, decisions_digest(decisions), task)
        (folder / _APPLYING).unlink()
    except OSError as error:
        raise UnavailableError(f"{error.filename or folder}: cannot be written ({error.strerror})") from error


def read_results(
    folder: Path, files: Iterable[str] | None = None, *, masks: bool = True
) -> dict[str, DatasetFrame]:
    """Read the labels and the unsure labels of frames of a dataset, by name, in the order of their names.

    Args:
        folder: The dataset.
        files: Names of the frames; None for all images.
        masks: Read masks too, which take most of the memory.

    Raises:
        NoInputError: There is no such dataset.
        DataError: It is malformed.
    """
    coco = read_instances(folder)
    images = {Path(image.file_name).name: image for image in coco.images}
    wanted = set(images if files is None else files)
    numbers = {category.id: number for number, category in enumerate(coco.categories)}
    places = {category.name: number for number, category in enumerate(coco.categories)}
    labels: dict[str, list[Label]] = {file: [] for file in wanted}
    unsure: dict[str, list[Label]] = {file: [] for file in wanted}
    names = {image.id: name for name, image in images.items() if name in wanted}
    try:
        for entry in read_entries(folder / INSTANCES, "annotations"):
            if isinstance(entry, dict) and (file := names.get(entry["image_id"])) is not None:
                labels[file].append(_label(entry, numbers[entry["category_id"]], masks=masks))
        for entry in _read_unsure(folder / REVIEW):
            if isinstance(entry, dict) and entry["file"] in wanted and entry["maybe"] in places:
                unsure[entry["file"]].append(_label(entry, places[entry["maybe"]], masks=False))
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise DataError(f"{folder}: {INSTANCES} or {REVIEW} is not of edgeloop label: {error}") from error
    return {
        file: DatasetFrame(
            image,
            FrameResult(
                file=file,
                width=image.width if image else 0,
                height=image.height if image else 0,
                labels=tuple(labels[file]),
                unsure=tuple(unsure[file]),
                by_person=image is not None and image.by_person,
            ),
        )
        for file in sorted(wanted)
        for image in (images.get(file),)
        if image is not None or unsure[file]
    }


def _read_unsure(path: Path) -> Iterator[object]:
    """Unsure labels; none if a person removed the file."""
    if path.exists():
        check_lists(path, ("unsure", "set_aside"))
        yield from read_entries(path, "unsure")


def _label(entry: Mapping[str, Any], class_id: int, *, masks: bool) -> Label:
    x, y, width, height = entry["bbox"]
    return Label(
        xyxy=(x, y, round(x + width, 2), round(y + height, 2)),
        class_id=class_id,
        score=entry["score"],
        counts=entry["segmentation"]["counts"] if masks and _has_mask(entry) else None,
        prompt=entry["prompt"],
        sam_score=entry.get("sam_score", 0.0),
        mask_from="human" if entry.get("mask_from") == "human" else "sam",
    )


def _has_mask(entry: Mapping[str, Any]) -> bool:
    return entry.get("mask_from") in ("sam", "human")


def read_info(folder: Path) -> dict[str, Any]:
    """Read `info` of instances.json.

    Raises:
        DataError: The file cannot be read.
    """
    try:
        with (folder / INSTANCES).open("rb") as file:
            info: object = next(ijson.items(file, "info", use_float=True), {})
    except (OSError, ijson.JSONError) as error:
        raise DataError(f"{folder / INSTANCES}: cannot be read ({error})") from error
    return info if isinstance(info, dict) else {}


def read_originals(folder: Path) -> dict[str, FrameResult]:
    """Read the results of decided frames as they were found, by name.

    Raises:
        DataError: A line is malformed.
    """
    path = folder / ORIGINALS
    if not path.exists():
        return {}
    originals: dict[str, FrameResult] = {}
    whole, _, _ = path.read_bytes().rpartition(b"\n")  # the writer of a cut line had changed nothing yet
    for number, line in enumerate(whole.split(b"\n") if whole else (), start=1):
        try:
            result = FrameResult.model_validate_json(line)
        except ValidationError as error:
            fault = describe_damage(path, error, line=number)
            raise DataError(f"{fault}; restore it, or label again") from error
        originals.setdefault(result.file, result)
    return originals


def _keep_originals(folder: Path, results: Sequence[FrameResult]) -> None:
    """Append results, which are on disk before anything is changed."""
    if not results:
        return
    path = folder / ORIGINALS
    kept = path.read_bytes() if path.exists() else b""
    kept = kept[: kept.rfind(b"\n") + 1]
    lines = b"".join(result.model_dump_json().encode() + b"\n" for result in results)
    replace_file(path, kept + lines)


def change_task(folder: Path, task: Task) -> int:
    """Write the labels of a dataset again as boxes, or for "segment" as polygons; images are not touched.

    After a crash, the next call finishes the work.

    Returns:
        Number of labels without a mask; see `LabelText.rectangles`.

    Raises:
        NoInputError: There is no such dataset.
        DataError: The dataset is malformed, or was edited in another tool.
        UnavailableError: A file cannot be written.
    """
    before, rectangles, texts = read_task(folder), 0, list[tuple[Image, str]]()
    names = [category.name for category in read_instances(folder).categories]
    try:
        for image, result in _labeled_images(folder):
            written = label_text(result, task)
            _check_text(folder, image, (label_text(result, before).text, written.text))
            texts.append((image, written.text))
            rectangles += written.rectangles
        for image, text in texts:
            _replace_text(folder, image, None, text)
        _rewrite_instances(folder, names, {}, str(read_info(folder).get("decisions", "")), task)
    except OSError as error:
        raise UnavailableError(f"{error.filename or folder}: cannot be written ({error.strerror})") from error
    return rectangles


def count_rectangles(folder: Path) -> int:
    """Count the labels of a dataset that have no mask; see `LabelText.rectangles`.

    Raises:
        NoInputError: There is no such dataset.
        DataError: The dataset is malformed.
    """
    read_instances(folder)  # refuses what is malformed
    annotations = read_entries(folder / INSTANCES, "annotations")
    return sum(isinstance(entry, dict) and not (_has_mask(entry) and entry["area"]) for entry in annotations)


def _labeled_images(folder: Path) -> Iterator[tuple[Image, FrameResult]]:
    for frame in read_results(folder).values():
        if frame.image is not None:
            yield frame.image, frame.result


def text_path(folder: Path, image: Image) -> Path:
    """Find the text file of the labels of an image of a dataset."""
    return folder / "labels" / Path(image.file_name).relative_to("images").with_suffix(".txt")


def _read_text(path: Path) -> str:
    return path.read_text("utf-8") if path.is_file() else ""


def _check_text(folder: Path, image: Image, known: Collection[str]) -> None:
    """Refuse a text file of a frame that holds none of the known texts."""
    path = text_path(folder, image)
    if _read_text(path) not in known:
        raise DataError(
            f"{path}: was edited in another tool; give the dataset to edgeloop label --corrected, "
            "or restore its labels to go on with the review"
        )


def _replace_text(folder: Path, image: Image, known: Collection[str] | None, text: str) -> None:
    """Replace the text file of a frame; `known`: what else it may hold, None for anything."""
    if known is not None:
        _check_text(folder, image, (*known, text))
    path = text_path(folder, image)
    if _read_text(path) != text:
        replace_file(path, text.encode())


def _rewrite_review(folder: Path, names: Sequence[str], frames: Mapping[str, DatasetFrame]) -> None:
    path = folder / REVIEW
    if not path.exists():
        return
    splits: dict[str, str] = {}

    def write(review: JsonStreamWriter) -> None:
        for entry in read_entries(path, "unsure"):
            if isinstance(entry, dict) and entry["file"] in frames:
                splits[entry["file"]] = entry["split"]
            else:
                review.add("unsure", entry)  # type: ignore[arg-type]
        for file, frame in frames.items():
            split = frame.image.split if frame.image else splits.get(file, "gap")
            for label in frame.result.unsure:
                review.add("unsure", unsure_of(label, file, split, names))
        for entry in read_entries(path, "set_aside"):
            review.add("set_aside", entry)  # type: ignore[arg-type]
        review.write()

    _rewrite(path, ("unsure", "set_aside"), write)


def _rewrite_instances(
    folder: Path, names: Sequence[str], frames: Mapping[str, DatasetFrame], decisions: str, task: Task
) -> None:
    path = folder / INSTANCES
    digest, boxes = dataset_digest(folder, names), BoxesDigest()
    changed = {frame.image.id: frame.result for frame in frames.values() if frame.image is not None}
    categories = [*read_entries(path, "categories")]
    class_of = {entry["id"]: entry["name"] for entry in categories if isinstance(entry, dict)}
    number_of = {name: number for number, name in class_of.items()}

    def write(coco: JsonStreamWriter) -> None:
        files: dict[int, str] = {}

        def add(entry: dict[str, Any]) -> None:
            boxes.add(files[entry["image_id"]], class_of[entry["category_id"]], entry["bbox"])
            coco.add("annotations", {**entry, "id": coco.count("annotations") + 1})

        for image in read_entries(path, "images"):
            coco.add("images", image)  # type: ignore[arg-type]
            files[image["id"]] = image["file_name"]  # type: ignore[index]
        left = sorted(changed)  # added where they were, so that undoing gives the file that was there

        def add_changed(before: float) -> None:
            while left and left[0] < before:
                image_id = left.pop(0)
                for label in changed[image_id].labels:
                    own = annotation_of(label, changed[image_id])
                    number = number_of[names[label.class_id]]
                    add({"id": 0, "image_id": image_id, **own, "category_id": number})

        for entry in read_entries(path, "annotations"):
            if isinstance(entry, dict) and entry["image_id"] not in changed:
                add_changed(entry["image_id"])
                add(entry)
        add_changed(math.inf)
        info = {**read_info(folder), "digest": digest, "boxes_digest": boxes.hexdigest()}
        told = {"decisions": decisions, "task": "" if task == "detect" else task}
        info = {key: value for key, value in info.items() if key not in told}
        info |= {key: value for key, value in told.items() if value}
        coco.write(info=info, categories=categories)

    _rewrite(path, ("images", "annotations"), write)


def _rewrite(path: Path, lists: Sequence[str], write: Callable[[JsonStreamWriter], None]) -> None:
    partial = path.with_name(path.name + ".part")
    with open_json_stream(partial, lists) as stream:
        write(stream)
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(path)
