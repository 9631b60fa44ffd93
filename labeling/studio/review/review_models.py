"""Models of the review's API."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Ge, Len
from pydantic import BaseModel, ConfigDict

from edgeloop.labeling.dataset.decisions import (
    AddDecision,
    ChangeDecision,
    Decision,
    FrameDecision,
    LabelBox,
    RightDecision,
    WrongDecision,
)
from edgeloop.labeling.studio.label_outlines import Polygons
from edgeloop.models.errors import DataError

__all__ = [
    "AskedDoubt",
    "AskedLook",
    "Counts",
    "DecidedFrame",
    "DecidedLabel",
    "DecisionBatch",
    "NewExemplars",
    "ReviewState",
    "UndoneDecisions",
    "checked_decision",
]


class Counts(BaseModel):
    """Progress of the review.

    Attributes:
        decided: Decisions that hold.
        errors: Errors among them.
        expected: Errors that are expected among what is still open, by the scores.
        undoable: True if there is a decision to take back.
        frames_right: Frames that were called right as a whole and are not exemplars yet.
    """

    decided: int
    errors: int
    expected: float
    undoable: bool
    frames_right: int


class ReviewState(BaseModel):
    """State of the review.

    Attributes:
        dataset: True if there are labels to review.
        done: Progress of arranging the queue.
        total: What `done` is once the queue is arranged.
        classes: Class names, in the order of the number keys.
        open: Doubts that are open in each look, in the order of the queue.
        counts: Progress of the review.
        command: Command that keeps the decisions as it labels anew.
        problem: Reason why the dataset does not show the decisions; null if none.
    """

    dataset: bool
    done: int
    total: int
    classes: list[str]
    open: list[int]
    counts: Counts
    command: str
    problem: str | None


class AskedDoubt(BaseModel):
    """A label that may be wrong, or an object that may be missed.

    Attributes:
        id: Number of the doubt.
        kind: "label" of the dataset, "unsure" of review.json, or "miss".
        device: "missed" if a device has no box there; "alone" if only the device has one; "" otherwise.
        polygons: Its outline, if the dataset is labeled for masks.
        side: Side of the square that its picture shows, pixels of the frame.
        probability: That it is an object of that class.
        state: "open", "right", "wrong" or "changed".
    """

    id: int
    kind: Literal["label", "unsure", "miss"]
    device: Literal["", "missed", "alone"]
    frame: int
    name: str
    xyxy: tuple[float, float, float, float]
    polygons: Polygons
    side: float
    probability: float
    state: str


class AskedLook(BaseModel):
    """Doubts of one screen.

    Attributes:
        number: Number of the screen.
        version: Identity of the labels, for the addresses of crops.
        doubts: What is asked there.
    """

    number: int
    version: str
    doubts: list[AskedDoubt]


class DecidedLabel(BaseModel):
    """Label of a frame.

    Attributes:
        polygons: Its outline, if the dataset is labeled for masks and its box was not moved since.
        state: "human" if a person drew or decided it, "label" of the dataset, or "unsure" of review.json.
    """

    name: str
    xyxy: tuple[float, float, float, float]
    polygons: Polygons
    score: float
    state: Literal["human", "label", "unsure"]


class DecidedFrame(BaseModel):
    """Labels of a frame as decided.

    Attributes:
        file: Name of the frame.
        drawn: True if its labels are exemplars, which are changed in the Draw tab.
        labels: Its labels.
    """

    frame: int
    file: str
    drawn: bool
    labels: list[DecidedLabel]


class ReviewBox(LabelBox):
    """Box with a class: corners in pixels of the frame."""

    model_config = ConfigDict(strict=False)


class MadeDecision(BaseModel):
    """Decision on a frame.

    Attributes:
        verdict: The decision.
        box: Label that is decided about.
        to: Label that replaces it.
        boxes: All labels of a frame that is right as a whole.
    """

    model_config = ConfigDict(extra="forbid")

    verdict: Literal["right", "wrong", "change", "add", "frame"]
    frame: Annotated[int, Ge(0)]
    box: ReviewBox | None = None
    to: ReviewBox | None = None
    boxes: Annotated[tuple[ReviewBox, ...], Len(0, 2000)] | None = None


class DecisionBatch(BaseModel):
    """Decisions that are made, and undone, at once.

    Attributes:
        decisions: The decisions.
    """

    model_config = ConfigDict(extra="forbid")

    decisions: Annotated[list[MadeDecision], Len(1, 500)]


class UndoneDecisions(BaseModel):
    """Decisions that were taken back.

    Attributes:
        frames: Frames whose decisions were taken back.
        counts: Progress of the review.
    """

    frames: list[int]
    counts: Counts


class NewExemplars(BaseModel):
    """Frames that became exemplars.

    Attributes:
        frames: Number of frames that became exemplars.
    """

    frames: int


def checked_decision(
    made: MadeDecision, batch: int, file: str, names: tuple[str, ...], size: tuple[int, int]
) -> Decision:
    """Check a decision against its frame.

    Raises:
        DataError: A box is missing, of an unknown class, or outside the frame.
    """
    for box in (made.box, made.to, *(made.boxes or ())):
        if box is None:
            continue
        if box.name not in names:
            raise DataError(f"{box.name}: no such class; the dataset has {', '.join(names)}")
        if all(size) and (box.xyxy[2] > size[0] + 0.5 or box.xyxy[3] > size[1] + 0.5):
            raise DataError(f"{file}: box {box.xyxy} is outside the frame of {size[0]}x{size[1]}")
    if made.verdict == "frame" and made.boxes is not None:
        return FrameDecision(batch=batch, file=file, boxes=made.boxes)
    if made.verdict == "change" and made.box is not None and made.to is not None:
        return ChangeDecision(batch=batch, file=file, box=made.box, to=made.to)
    if made.box is not None:
        if made.verdict == "right":
            return RightDecision(batch=batch, file=file, box=made.box)
        if made.verdict == "wrong":
            return WrongDecision(batch=batch, file=file, box=made.box)
        if made.verdict == "add":
            return AddDecision(batch=batch, file=file, box=made.box)
    raise DataError(f"{made.verdict}: expected a box; change also `to`, and frame `boxes`")
