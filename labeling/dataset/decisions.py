"""A person's decisions on labels, one JSON line each, and what they make of the labels of a frame."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Le, Len
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from edgeloop.labeling.ledger import FrameResult, Label
from edgeloop.models.boxes import iou_matrix
from edgeloop.models.errors import DataError, NoInputError, describe_damage

__all__ = [
    "HUMAN",
    "AddDecision",
    "ChangeDecision",
    "Decision",
    "FrameDecision",
    "JournalLine",
    "LabelBox",
    "RightDecision",
    "UndoLine",
    "WrongDecision",
    "active_decisions",
    "by_frame",
    "decide",
    "decide_frame",
    "means",
    "parse_journal",
    "read_decisions",
    "renamed",
]

log = logging.getLogger(__name__)

HUMAN = "human"
"""Prompt of a person's labels."""

_SAME_IOU = 0.5  # of a label of any run and the box that a person decided on
_SAME_PERSON_IOU = 0.95  # a person may box two objects that overlap: only the very same box is meant
_Pixel = Annotated[float, Ge(0), Le(1 << 20)]
_STRICT = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class LabelBox(BaseModel):
    """Box with a class.

    Attributes:
        name: Class name.
        xyxy: Corners in pixels of the frame.
    """

    model_config = _STRICT

    name: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    xyxy: tuple[_Pixel, _Pixel, _Pixel, _Pixel]

    @model_validator(mode="after")
    def _has_area(self) -> LabelBox:
        x1, y1, x2, y2 = self.xyxy
        if x2 <= x1 or y2 <= y1:
            raise ValueError(f"xyxy: expected x1 < x2 and y1 < y2, got {self.xyxy}")
        return self


class _OfFrame(BaseModel):
    """Decision on a frame.

    Attributes:
        batch: Number of the group of decisions that was made, and is undone, at once.
        file: Name of the frame.
    """

    model_config = _STRICT

    batch: Annotated[int, Ge(1)]
    file: Annotated[str, StringConstraints(min_length=1, max_length=1000)]


class RightDecision(_OfFrame):
    """A label, or an unsure one, is right as it is."""

    verdict: Literal["right"] = "right"
    box: LabelBox


class WrongDecision(_OfFrame):
    """There is no object of that class at that place."""

    verdict: Literal["wrong"] = "wrong"
    box: LabelBox


class ChangeDecision(_OfFrame):
    """A label has another class or another box, `to`."""

    verdict: Literal["change"] = "change"
    box: LabelBox
    to: LabelBox


class AddDecision(_OfFrame):
    """An object was missed."""

    verdict: Literal["add"] = "add"
    box: LabelBox


class FrameDecision(_OfFrame):
    """A frame shows these objects and no others."""

    verdict: Literal["frame"] = "frame"
    boxes: Annotated[tuple[LabelBox, ...], Len(0, 2000)]


class UndoLine(BaseModel):
    """All decisions of a batch are taken back."""

    model_config = _STRICT

    verdict: Literal["undo"] = "undo"
    batch: Annotated[int, Ge(1)]
    undone: Annotated[int, Ge(1)]


Decision = RightDecision | WrongDecision | ChangeDecision | AddDecision | FrameDecision
JournalLine = Annotated[Decision | UndoLine, Field(discriminator="verdict")]

_LINE: TypeAdapter[Decision | UndoLine] = TypeAdapter(JournalLine)


def parse_journal(content: bytes, path: Path) -> tuple[list[Decision | UndoLine], int]:
    """Parse the lines of a journal.

    Returns:
        The lines, and the length of what was read in bytes: a last line without a newline is left out with a
        warning, for its writer was killed.

    Raises:
        DataError: A line is malformed.
    """
    whole, _, cut = content.rpartition(b"\n")
    if cut:
        log.warning("%s: its last line is cut off and is left out", path)
    lines = []
    for number, line in enumerate(whole.split(b"\n") if whole else (), start=1):
        try:
            lines.append(_LINE.validate_json(line))
        except ValidationError as error:
            fault = describe_damage(path, error, line=number)
            raise DataError(f"{fault}; correct or remove this line") from error
    return lines, len(content) - len(cut)


def read_decisions(path: Path) -> list[Decision]:
    """Read the decisions of a journal that hold.

    Raises:
        NoInputError: It cannot be read.
        DataError: A line is malformed.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise NoInputError(
            f"{path}: cannot be read ({error.strerror}); expected decisions.jsonl of edgeloop studio"
        ) from error
    return active_decisions(parse_journal(content, path)[0])


def active_decisions(lines: Iterable[Decision | UndoLine]) -> list[Decision]:
    """Leave out what was undone."""
    decisions: list[Decision] = []
    undone = set()
    for line in lines:
        if isinstance(line, UndoLine):
            undone.add(line.undone)
        else:
            decisions.append(line)
    return [decision for decision in decisions if decision.batch not in undone]


def renamed(decision: Decision, name: str, to: str) -> Decision:
    """Copy a decision with another name of a class."""

    def copy(box: LabelBox) -> LabelBox:
        return box.model_copy(update={"name": to}) if box.name == name else box

    if isinstance(decision, FrameDecision):
        return decision.model_copy(update={"boxes": tuple(map(copy, decision.boxes))})
    update = {"box": copy(decision.box)}
    if isinstance(decision, ChangeDecision):
        update["to"] = copy(decision.to)
    return decision.model_copy(update=update)


def by_frame(decisions: Iterable[Decision]) -> dict[str, list[Decision]]:
    """Group decisions by the name of the frame, in their order."""
    grouped: dict[str, list[Decision]] = {}
    for decision in decisions:
        grouped.setdefault(decision.file, []).append(decision)
    return grouped


def decide(
    results: Iterable[FrameResult],
    decisions: Mapping[str, Sequence[Decision]],
    names: Sequence[str],
    keep: Callable[[FrameResult], None] = lambda _: None,
) -> Iterator[FrameResult]:
    """Apply decisions to results, one frame at a time.

    Args:
        results: Labels of each frame. Frames whose boxes a person drew are not changed.
        decisions: Decisions by name of the frame.
        names: Class names; decisions for other classes change nothing.
        keep: Called with the result of a frame before it is changed.
    """
    for result in results:
        own = decisions.get(result.file)
        if own and not result.by_person and result.problem is None:
            keep(result)
            yield decide_frame(result, own, names)
        else:
            yield result


def decide_frame(result: FrameResult, decisions: Sequence[Decision], names: Sequence[str]) -> FrameResult:
    """Apply decisions to the labels of their frame, in their order; a second time changes nothing.

    A label of the class that was decided on is meant if their IoU is at least 0.5. What a person called right
    or drew has the prompt "human" and score 1, and replaces what is meant; a changed label replaces whatever
    overlaps it as much.
    """
    labels, unsure = list(result.labels), list(result.unsure)

    def drop(box: LabelBox, *, any_class: bool = False) -> list[Label]:
        found = []
        for group in (labels, unsure):
            hit = [
                (any_class or names[label.class_id] == box.name) and meant
                for label, meant in zip(group, means(box.xyxy, group), strict=True)
            ]
            found += [label for label, drops in zip(group, hit, strict=True) if drops]
            group[:] = [label for label, drops in zip(group, hit, strict=True) if not drops]
        return found

    def put(box: LabelBox | None, found: Sequence[Label]) -> None:
        if box is not None and box.name in names:
            labels.append(_of_person(box.xyxy, names.index(box.name), found))

    for decision in decisions:
        if isinstance(decision, FrameDecision):
            if decision.boxes and not any(box.name in names for box in decision.boxes):
                continue
            found = [*labels]
            labels.clear()
            unsure.clear()
            for each in decision.boxes:
                put(_inside(each, result), found)
            continue
        box = _inside(decision.box, result)
        found = [] if box is None else drop(box)
        if isinstance(decision, ChangeDecision):
            to = _inside(decision.to, result)
            replaced = [] if to is None or to.name not in names else drop(to, any_class=True)
            put(to, found + replaced)
        elif not isinstance(decision, WrongDecision):
            put(box, found)
    return result.model_copy(update={"labels": tuple(labels), "unsure": tuple(unsure)})


def means(xyxy: tuple[float, float, float, float], labels: Sequence[Label]) -> list[bool]:
    """Tell which labels, of any class, are meant by a person's box."""
    least = (_SAME_PERSON_IOU if label.prompt == HUMAN else _SAME_IOU for label in labels)
    return [own >= one for own, one in zip(_ious(xyxy, labels), least, strict=True)]


def _ious(xyxy: tuple[float, float, float, float], labels: Sequence[Label]) -> list[float]:
    boxes = np.array([label.xyxy for label in labels], np.float32).reshape(-1, 4)
    return [*map(float, iou_matrix(np.array([xyxy], np.float32), boxes)[0])]


def _inside(box: LabelBox, result: FrameResult) -> LabelBox | None:
    """Clip a box to its frame; None if nothing is left of it."""
    unknown = 1 << 20
    size = (result.width or unknown, result.height or unknown) * 2
    x1, y1, x2, y2 = (round(min(own, side), 2) for own, side in zip(box.xyxy, size, strict=True))
    return LabelBox(name=box.name, xyxy=(x1, y1, x2, y2)) if x1 < x2 and y1 < y2 else None


def _of_person(xyxy: tuple[float, float, float, float], class_id: int, found: Sequence[Label]) -> Label:
    """Label of a person, with the mask of a label that had the very same box."""
    best = max(zip(_ious(xyxy, found), found, strict=True), key=lambda one: one[0], default=None)
    mask = best[1] if best is not None and best[0] >= _SAME_PERSON_IOU else None
    return Label(
        xyxy=xyxy,
        class_id=class_id,
        score=1.0,
        counts=mask.counts if mask else None,
        prompt=HUMAN,
        sam_score=mask.sam_score if mask else 0.0,
    )
