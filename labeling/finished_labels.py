"""Finished datasets of a labeling job: counted, or written again for another task, without labeling anew."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

from edgeloop.edge.frames.folder import FrameEntry
from edgeloop.labeling.dataset.apply_decisions import (
    REVIEW,
    change_task,
    count_rectangles,
    read_info,
    read_results,
)
from edgeloop.labeling.dataset.json_stream import read_entries
from edgeloop.labeling.dataset.read import INSTANCES, is_ours
from edgeloop.labeling.dataset.split import Split
from edgeloop.labeling.dataset.write import DatasetReport, DatasetTally, LabeledFrame
from edgeloop.labeling.frames.frame_store import FrameStore, image_digest
from edgeloop.labeling.ledger import FrameResult
from edgeloop.models.task import Task

__all__ = [
    "count_labels",
    "frames_digest",
    "is_finished",
    "is_of_inputs",
    "other_options",
    "rewrite_labels",
]

_READ_AT_ONCE = 8  # images: object storage takes long to answer, and answers several at once


def is_finished(dataset: Path) -> bool:
    """True for a dataset that `edgeloop label` wrote.

    Raises:
        DataError: Its instances.json cannot be read.
    """
    return (dataset / INSTANCES).is_file() and is_ours(dataset)


def frames_digest(frames: Iterable[tuple[str, str]]) -> str:
    """Digest of the names and of the digests of all frames, those that the dataset leaves out included."""
    digest = hashlib.sha256()
    for name, image in frames:
        digest.update(f"{name}\0{image}\n".encode())
    return digest.hexdigest()


def other_options(dataset: Path, options: Mapping[str, Any]) -> str:
    """Name the options, by their keys in `info`, that a dataset was labeled with if they are not these.

    Returns:
        Text such as "with --seed 0, not 1"; empty if there is no other.

    Raises:
        DataError: Its instances.json cannot be read.
    """
    info = read_info(dataset)
    others = (
        f"{_option(key)} {_told(info.get(key, 'unknown'))}, not {_told(value)}"
        for key, value in options.items()
        if info.get(key) != value
    )
    return "".join(f"{', ' if place else 'with '}{other}" for place, other in enumerate(others))


def _option(key: str) -> str:
    return "weights of --sam" if key == "sam_digest" else f"--{key.replace('_', '-')}"


def _told(value: object) -> object:
    return "none" if value == "" else value


def is_of_inputs(
    dataset: Path, parents: Mapping[str, str], entries: Sequence[FrameEntry], store: FrameStore
) -> bool:
    """True if a dataset has these parents in its `info`, and is of these frames; reads every frame.

    Raises:
        DataError: Its instances.json cannot be read.
    """

    def digest(entry: FrameEntry) -> tuple[str, str]:
        try:
            return entry.name, image_digest(store, entry.file)
        except OSError:
            return entry.name, ""

    found = read_info(dataset).get("parents", {})
    if any(found.get(key) != value for key, value in parents.items()):
        return False
    with ThreadPoolExecutor(_READ_AT_ONCE) as pool:
        return bool(found.get("frames") == frames_digest(pool.map(digest, entries)))


def rewrite_labels(dataset: Path, task: Task, entries: Sequence[FrameEntry]) -> DatasetReport:
    """Write the labels of a dataset again for a task, and count them.

    Args:
        dataset: Folder that `edgeloop label` wrote.
        task: Task of the labels.
        entries: The frames of its job.

    Raises:
        DataError: The dataset is malformed, or was edited in another tool.
        UnavailableError: A file cannot be written.
    """
    rectangles = change_task(dataset, task)
    return _count(dataset, entries, rectangles if task == "segment" else None)


def count_labels(dataset: Path, entries: Sequence[FrameEntry], task: Task) -> DatasetReport:
    """Count the labels of a dataset for a task, as they were written last.

    Raises:
        DataError: The dataset is malformed.
    """
    return _count(dataset, entries, count_rectangles(dataset) if task == "segment" else None)


def _count(dataset: Path, entries: Sequence[FrameEntry], rectangles: int | None) -> DatasetReport:
    frames = read_results(dataset, [entry.name for entry in entries], masks=False)
    categories = cast(Iterator[Mapping[str, str]], read_entries(dataset / INSTANCES, "categories"))
    tally = DatasetTally([category["name"] for category in categories])
    set_aside = _set_aside(dataset / REVIEW)
    for entry in entries:
        own = frames.get(entry.name)
        split = Split.GAP if own is None or own.image is None else Split(own.image.split)
        nothing = FrameResult(file=entry.name, problem=set_aside.get(entry.name))
        result = nothing if own is None else own.result
        tally.add(LabeledFrame(entry, split, result))
    digest = str(read_info(dataset)["digest"])
    return tally.report(digest, rectangles)


def _set_aside(path: Path) -> dict[str, str]:
    """Reasons of the frames that were set aside, by name; none if a person removed the file."""
    if not path.exists():
        return {}
    entries = cast(Iterator[Mapping[str, str]], read_entries(path, "set_aside"))
    return {entry["file"]: entry["reason"] for entry in entries}
