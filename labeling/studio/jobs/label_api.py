"""API of the labels that a job makes: what will be labeled, what is labeled so far, and the promise."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel

from edgeloop.labeling.inputs.exemplars import IGNORE
from edgeloop.labeling.inputs.plan import MOVING
from edgeloop.labeling.ledger import FrameResult
from edgeloop.labeling.studio.finished_dataset import FinishedDataset, LabeledFrame, ScoredBox
from edgeloop.labeling.studio.jobs.job_files import LedgerCopy, unfinished_label
from edgeloop.labeling.studio.jobs.verb_options import LabelSettings
from edgeloop.labeling.studio.label_outlines import labels_task
from edgeloop.labeling.studio.project import Project
from edgeloop.models.task import Task

__all__ = ["label_api"]

_SHOWN = 12  # frames on the sheet


class _LabeledFrame(BaseModel):
    """Labeled frame.

    Attributes:
        number: Number of the frame.
    """

    number: int
    width: int
    height: int
    boxes: tuple[ScoredBox, ...]


class _Class(BaseModel):
    """Counts of a class.

    Attributes:
        drawn: Number of a person's boxes.
        labels: Number of labels.
        frames: Number of frames with a label.
    """

    name: str
    drawn: int
    labels: int
    frames: int


class _Labels(BaseModel):
    """Labels of the job that is unfinished, or else of the dataset.

    Attributes:
        frames: Number of frames of the project.
        exemplars: Frames that are drawn completely, and are learned from.
        incomplete: Frames with boxes that are not, and are left out.
        labeled: Frames that are labeled so far.
        splits: Frames of the dataset by part; empty until it is made.
        classes: Counts by class.
        sheet: Some labeled frames: the last ones of an unfinished job, or frames all over the dataset.
        promise: Expected quality; null if unknown.
        task: Task that the labels of the dataset are for; null if there is none.
    """

    frames: int
    exemplars: int
    incomplete: int
    labeled: int
    splits: dict[str, int]
    classes: list[_Class]
    sheet: list[_LabeledFrame]
    promise: dict[str, Any] | None
    task: Task | None


def label_api(project: Project, dataset: FinishedDataset, settings: Callable[[], LabelSettings]) -> APIRouter:
    """Build the API of the labels of a project.

    Args:
        project: The project.
        dataset: Its dataset.
        settings: Gives the options of the last start.
    """
    api = APIRouter()
    ledger = LedgerCopy(project.dataset)
    numbers = {entry.name: number for number, entry in enumerate(project.entries)}

    @api.get("/labels")
    def labels() -> _Labels:
        """Labels so far, their counts, and the promise."""
        unfinished = unfinished_label(project.dataset)
        running = unfinished.is_dir()
        drawn = project.drawn.drawn()
        counts = Counter(box.name for frame in drawn.values() if frame.complete for box in frame.boxes)
        if running:
            names = [MOVING] if settings().moving else [n for n in project.drawn.names if counts[n]]
            names = [name for name in names if name != IGNORE]
            results = ledger.results()
            found = {name: _labeled(result, names) for name, result in results.items()}
            shown = [name for name in results if found[name].boxes][-_SHOWN:][::-1]
            promise = _promise(unfinished)
        else:
            found = dict(dataset.frames)
            names = list(dataset.names)
            shown = _all_over(found)
            promise = dataset.promise
        per_class, frames = Counter[str](), Counter[str]()
        for frame in found.values():
            per_class.update(box.name for box in frame.boxes)
            frames.update({box.name for box in frame.boxes})
        known = dict.fromkeys([*names, *(n for n in project.drawn.names if n != IGNORE and counts[n])])
        return _Labels(
            frames=len(project.entries),
            exemplars=sum(frame.complete for frame in drawn.values()),
            incomplete=sum(not frame.complete for frame in drawn.values()),
            labeled=len(found),
            splits=dict(Counter(frame.split for frame in found.values() if frame.split)),
            classes=[
                _Class(name=name, drawn=counts[name], labels=per_class[name], frames=frames[name])
                for name in known
            ],
            sheet=[
                _LabeledFrame(
                    number=numbers[name],
                    width=found[name].width,
                    height=found[name].height,
                    boxes=found[name].boxes if running else dataset.outlined(name),
                )
                for name in shown
                if name in numbers
            ],
            promise=promise,
            task=labels_task(project.dataset),
        )

    return api


def _labeled(result: FrameResult, names: list[str]) -> LabeledFrame:
    boxes = tuple(
        ScoredBox(label.xyxy, names[label.class_id], label.score)
        for label in result.labels
        if label.class_id < len(names)  # a terminal may label other classes
    )
    return LabeledFrame(result.width, result.height, "", boxes)


def _all_over(found: Mapping[str, LabeledFrame]) -> list[str]:
    names = [name for name, frame in found.items() if frame.boxes]
    step = max(1, len(names) / _SHOWN)
    return [names[int(place * step)] for place in range(min(_SHOWN, len(names)))]


def _promise(unfinished: Path) -> dict[str, Any] | None:
    """Promise of the job that learned last."""
    with suppress(OSError, ValueError):
        paths = sorted(unfinished.glob("engine-*/promise.json"), key=lambda path: path.stat().st_mtime)
        if paths:
            found: dict[str, Any] = json.loads(paths[-1].read_text("utf-8"))
            return found
    return None
