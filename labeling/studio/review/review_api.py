"""API of the review: looks of the queue, decisions, undoing, and frames to correct by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Len
from anyio import to_thread
from fastapi import APIRouter
from fastapi.responses import Response
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from edgeloop.labeling.dataset.decisions import (
    HUMAN,
    AddDecision,
    ChangeDecision,
    Decision,
    FrameDecision,
    LabelBox,
    RightDecision,
    WrongDecision,
    by_frame,
)
from edgeloop.labeling.studio.box_picture import box_picture, picture_side
from edgeloop.labeling.studio.exemplar_file import DrawnBox, DrawnFrame
from edgeloop.labeling.studio.jobs.runner import command_line
from edgeloop.labeling.studio.jobs.verb_options import LabelSettings
from edgeloop.labeling.studio.project import Project
from edgeloop.labeling.studio.review.review_session import ReviewSession, is_error, is_of
from edgeloop.models.errors import DataError, NoInputError

__all__ = ["review_api"]

_PICTURE_PX = 256
_IMAGES = 8  # decoded frames kept for the crops of a sheet


class _Counts(BaseModel):
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


class _Review(BaseModel):
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
    counts: _Counts
    command: str
    problem: str | None


class _Doubt(BaseModel):
    """A label that may be wrong, or an object that may be missed.

    Attributes:
        id: Number of the doubt.
        kind: "label" of the dataset, "unsure" of review.json, or "miss".
        side: Side of the square that its picture shows, pixels of the frame.
        probability: That it is an object of that class.
        state: "open", "right", "wrong" or "changed".
    """

    id: int
    kind: Literal["label", "unsure", "miss"]
    frame: int
    name: str
    xyxy: tuple[float, float, float, float]
    side: float
    probability: float
    state: str


class _Look(BaseModel):
    """Doubts of one screen.

    Attributes:
        number: Number of the screen.
        version: Identity of the labels, for the addresses of crops.
        doubts: What is asked there.
    """

    number: int
    version: str
    doubts: list[_Doubt]


class _Label(BaseModel):
    """Label of a frame.

    Attributes:
        state: "human" if a person drew or decided it, "label" of the dataset, or "unsure" of review.json.
    """

    name: str
    xyxy: tuple[float, float, float, float]
    score: float
    state: Literal["human", "label", "unsure"]


class _DecidedFrame(BaseModel):
    """Labels of a frame as decided.

    Attributes:
        file: Name of the frame.
        drawn: True if its labels are exemplars, which are changed in the Draw tab.
        labels: Its labels.
    """

    frame: int
    file: str
    drawn: bool
    labels: list[_Label]


class _Box(LabelBox):
    """Box with a class: corners in pixels of the frame."""

    model_config = ConfigDict(strict=False)


class _Made(BaseModel):
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
    box: _Box | None = None
    to: _Box | None = None
    boxes: Annotated[tuple[_Box, ...], Len(0, 2000)] | None = None


class _Batch(BaseModel):
    """Decisions that are made, and undone, at once.

    Attributes:
        decisions: The decisions.
    """

    model_config = ConfigDict(extra="forbid")

    decisions: Annotated[list[_Made], Len(1, 500)]


class _Undone(BaseModel):
    """Decisions that were taken back.

    Attributes:
        frames: Frames whose decisions were taken back.
        counts: Progress of the review.
    """

    frames: list[int]
    counts: _Counts


class _Exemplars(BaseModel):
    """Frames that became exemplars.

    Attributes:
        frames: Number of frames that became exemplars.
    """

    frames: int


def review_api(project: Project, session: ReviewSession) -> APIRouter:
    """Build the API of the review of a project; the session is closed when the application ends."""

    @asynccontextmanager
    async def until_the_end(_: object) -> AsyncIterator[None]:
        yield
        await to_thread.run_sync(session.close)

    api = APIRouter(tags=["review"], lifespan=until_the_end)
    numbers = {entry.name: number for number, entry in enumerate(project.entries)}

    @lru_cache(maxsize=_IMAGES)
    def image_of(number: int) -> NDArray[np.uint8]:
        return project.image(number)

    def frames_right() -> list[FrameDecision]:
        drawn = project.drawn.drawn()
        last = {own.file: own for own in session.journal.decisions() if isinstance(own, FrameDecision)}
        return [own for own in last.values() if own.file in numbers and own.file not in drawn]

    def count() -> _Counts:
        decisions, review = session.journal.decisions(), session.open()
        errors, expected, undoable = 0, 0.0, bool(decisions)
        if review is not None:
            found = review.found
            decisions = [own for own in decisions if is_of(own, found.names)]
            errors = sum(is_error(own, found.results.get(own.file), found.names) for own in decisions)
            expected = session.expected_errors(review)
        return _Counts(
            decided=len(decisions),
            errors=errors,
            expected=round(expected, 1),
            undoable=undoable,
            frames_right=len(frames_right()),
        )

    @api.get("/review")
    def describe() -> _Review:
        """Describe the review: progress, classes, and what is open in each look."""
        review = session.open()
        queue = review.queue if review else None
        states = session.states(queue.doubts, review) if review and queue else []
        return _Review(
            dataset=review is not None,
            done=review.done if review else 0,
            total=max(review.total, review.done + (queue is None)) if review else 0,
            classes=list(review.found.names) if review else [],
            open=[sum(states[place] == "open" for place in look.doubts) for look in queue.looks]
            if queue
            else [],
            counts=count(),
            command=command_line(LabelSettings().arguments(project)),
            problem=session.problem,
        )

    @api.get("/review/looks/{number}")
    def look(number: int) -> _Look:
        """Doubts of a look of the queue."""
        review, queue = session.ready()
        if not 0 <= number < len(queue.looks):
            raise NoInputError(f"look {number}: there are {len(queue.looks)}, counted from 0")
        places = queue.looks[number].doubts
        doubts = [queue.doubts[place] for place in places]
        states = session.states(doubts, review)
        return _Look(
            number=number,
            version="-".join(map(str, review.version)),
            doubts=[
                _Doubt(
                    id=place,
                    kind=own.kind,
                    frame=numbers[own.file],
                    name=own.name,
                    xyxy=own.xyxy,
                    side=picture_side(own.xyxy),
                    probability=round(own.object_probability, 3),
                    state=state,
                )
                for place, own, state in zip(places, doubts, states, strict=True)
                if own.file in numbers
            ],
        )

    @api.get("/review/crops/{doubt}", response_class=Response)
    def crop(doubt: int) -> Response:
        """Picture of a doubt in its surroundings: a square around its middle, JPEG."""
        _, queue = session.ready()
        if not 0 <= doubt < len(queue.doubts):
            raise NoInputError(f"crop {doubt}: there are {len(queue.doubts)}, counted from 0")
        own = queue.doubts[doubt]
        if own.file not in numbers:
            raise NoInputError(f"{own.file}: is not among the frames anymore")
        picture = box_picture(image_of(numbers[own.file]), own.xyxy, _PICTURE_PX)
        return Response(picture, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=3600"})

    @api.get("/review/frames/{number}")
    def frame(number: int) -> _DecidedFrame:
        """Labels of a frame as decided, to correct them by hand."""
        file, review = project.entry(number).name, session.open()
        if review is None or file not in review.found.results:
            raise NoInputError(f"{file}: is not in the dataset")
        result = review.decided(file, by_frame(session.journal.decisions()).get(file, ()))
        names = review.found.names
        return _DecidedFrame(
            frame=number,
            file=file,
            drawn=result.by_person,
            labels=[
                _Label(
                    name=names[own.class_id],
                    xyxy=own.xyxy,
                    score=own.score,
                    state="unsure" if unsure else "human" if own.prompt == HUMAN else "label",
                )
                for unsure, group in ((False, result.labels), (True, result.unsure))
                for own in group
            ],
        )

    @api.post("/review/decisions")
    def decide(batch: _Batch) -> _Counts:
        """Save decisions; they are on disk when this returns, and in the dataset some seconds later."""
        review = session.open()
        if review is None:
            raise NoInputError("there are no labels yet; make some in the Label tab")
        names, results = review.found.names, review.found.results

        def make(number: int) -> list[Decision]:
            made = []
            for own in batch.decisions:
                file = project.entry(own.frame).name
                result = results.get(file)
                if result is None:
                    raise NoInputError(f"{file}: is not in the dataset")
                if result.by_person:
                    raise DataError(f"{file}: was drawn as an exemplar; change it in the Draw tab")
                made.append(_decision(own, number, file, names, (result.width, result.height)))
            return made

        session.add(make)
        return said()

    @api.post("/review/undo")
    def undo() -> _Undone:
        """Take back the decisions that were made last."""
        undone = session.undo()
        frames = sorted({numbers[own.file] for own in undone if own.file in numbers})
        return _Undone(frames=frames, counts=said())

    @api.post("/review/apply")
    def apply() -> _Counts:
        """Write the decisions into the dataset now."""
        session.flush()
        return count()

    @api.post("/review/exemplars")
    def use_as_exemplars() -> _Exemplars:
        """Make exemplars of the frames that were called right, so that the next labeling learns from them."""
        frames = frames_right()
        for own in frames:
            boxes = tuple(DrawnBox(xyxy=box.xyxy, name=box.name) for box in own.boxes)
            drawn = DrawnFrame(boxes=boxes, complete=True)
            project.drawn.put(own.file, drawn)
            project.events.send(
                "boxes",
                {"frame": numbers[own.file], "base": drawn.revision, "boxes": len(boxes), "complete": True},
            )
        return _Exemplars(frames=len(frames))

    def said() -> _Counts:
        counts = count()
        project.events.send("review", {"counts": counts.model_dump()})
        return counts

    return api


def _decision(made: _Made, batch: int, file: str, names: tuple[str, ...], size: tuple[int, int]) -> Decision:
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
