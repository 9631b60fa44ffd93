"""API of the review: looks of the queue, decisions, undoing, and frames to correct by hand."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from fastapi import APIRouter
from fastapi.responses import Response
from numpy.typing import NDArray

from edgeloop.edge.web.web_app import ends_with
from edgeloop.labeling.dataset.decisions import HUMAN, Decision, FrameDecision, by_frame
from edgeloop.labeling.studio.box_picture import box_picture, picture_side
from edgeloop.labeling.studio.exemplar_file import DrawnBox, DrawnFrame
from edgeloop.labeling.studio.jobs.runner import command_line
from edgeloop.labeling.studio.jobs.verb_options import LabelSettings
from edgeloop.labeling.studio.label_outlines import NamedBox, Polygons, label_outlines, labels_task
from edgeloop.labeling.studio.project import Project
from edgeloop.labeling.studio.review.open_review import is_error, is_of
from edgeloop.labeling.studio.review.review_models import (
    AskedDoubt,
    AskedLook,
    Counts,
    DecidedFrame,
    DecidedLabel,
    DecisionBatch,
    NewExemplars,
    ReviewState,
    UndoneDecisions,
    checked_decision,
)
from edgeloop.labeling.studio.review.review_queue import Found
from edgeloop.labeling.studio.review.review_session import ReviewSession
from edgeloop.models.errors import DataError, NoInputError

__all__ = ["review_api"]

_PICTURE_PX = 256
_IMAGES = 8  # decoded frames kept for the crops of a sheet


def review_api(project: Project, session: ReviewSession) -> APIRouter:
    """Build the API of the review of a project; the session is closed when the application ends."""
    api = APIRouter(tags=["review"], lifespan=ends_with(session.close))
    numbers = {entry.name: number for number, entry in enumerate(project.entries)}

    @lru_cache(maxsize=_IMAGES)
    def image_of(number: int) -> NDArray[np.uint8]:
        return project.image(number)

    def outlines(found: Found, file: str, boxes: Sequence[NamedBox]) -> list[Polygons]:
        result = found.results[file]
        return label_outlines(project.dataset, file, (result.width, result.height), found.names, boxes)

    def frames_right() -> list[FrameDecision]:
        drawn = project.drawn.drawn()
        last = {own.file: own for own in session.journal.decisions() if isinstance(own, FrameDecision)}
        return [own for own in last.values() if own.file in numbers and own.file not in drawn]

    def count() -> Counts:
        decisions, review = session.journal.decisions(), session.open()
        errors, expected, undoable = 0, 0.0, bool(decisions)
        if review is not None:
            found = review.found
            decisions = [own for own in decisions if is_of(own, found.names)]
            errors = sum(is_error(own, found.results.get(own.file), found.names) for own in decisions)
            expected = session.expected_errors(review)
        return Counts(
            decided=len(decisions),
            errors=errors,
            expected=round(expected, 1),
            undoable=undoable,
            frames_right=len(frames_right()),
        )

    @api.get("/review")
    def describe() -> ReviewState:
        """Describe the review: progress, classes, and what is open in each look."""
        review = session.open()
        queue = review.queue if review else None
        states = session.states(queue.doubts, review) if review and queue else []
        again = LabelSettings(task=labels_task(project.dataset) or "detect")
        return ReviewState(
            dataset=review is not None,
            done=review.done if review else 0,
            total=max(review.total, review.done + (queue is None)) if review else 0,
            classes=list(review.found.names) if review else [],
            open=[sum(states[place] == "open" for place in look.doubts) for look in queue.looks]
            if queue
            else [],
            counts=count(),
            command=command_line(again.arguments(project)),
            problem=session.problem,
        )

    @api.get("/review/looks/{number}")
    def look(number: int) -> AskedLook:
        """Doubts of a look of the queue."""
        review, queue = session.ready()
        if not 0 <= number < len(queue.looks):
            raise NoInputError(f"look {number}: there are {len(queue.looks)}, counted from 0")
        places = queue.looks[number].doubts
        doubts = [queue.doubts[place] for place in places]
        states = session.states(doubts, review)
        shapes = [
            outlines(review.found, own.file, [(own.name, own.xyxy)])[0] if own.kind == "label" else ()
            for own in doubts
        ]
        return AskedLook(
            number=number,
            version="-".join(map(str, review.version)),
            doubts=[
                AskedDoubt(
                    id=place,
                    kind=own.kind,
                    device=own.device,
                    frame=numbers[own.file],
                    name=own.name,
                    xyxy=own.xyxy,
                    polygons=shape,
                    side=picture_side(own.xyxy),
                    probability=round(own.object_probability, 3),
                    state=state,
                )
                for place, own, state, shape in zip(places, doubts, states, shapes, strict=True)
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
    def frame(number: int) -> DecidedFrame:
        """Labels of a frame as decided, to correct them by hand."""
        file, review = project.entry(number).name, session.open()
        if review is None or file not in review.found.results:
            raise NoInputError(f"{file}: is not in the dataset")
        result = review.decided(file, by_frame(session.journal.decisions()).get(file, ()))
        names = review.found.names
        shapes = outlines(review.found, file, [(names[own.class_id], own.xyxy) for own in result.labels])
        return DecidedFrame(
            frame=number,
            file=file,
            drawn=result.by_person,
            labels=[
                DecidedLabel(
                    name=names[own.class_id],
                    xyxy=own.xyxy,
                    polygons=shape,
                    score=own.score,
                    state="unsure" if unsure else "human" if own.prompt == HUMAN else "label",
                )
                for unsure, group, own_shapes in (
                    (False, result.labels, shapes),
                    (True, result.unsure, [()] * len(result.unsure)),
                )
                for own, shape in zip(group, own_shapes, strict=True)
            ],
        )

    @api.post("/review/decisions")
    def decide(batch: DecisionBatch) -> Counts:
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
                made.append(checked_decision(own, number, file, names, (result.width, result.height)))
            return made

        session.add(make)
        return said()

    @api.post("/review/undo")
    def undo() -> UndoneDecisions:
        """Take back the decisions that were made last."""
        undone = session.undo()
        frames = sorted({numbers[own.file] for own in undone if own.file in numbers})
        return UndoneDecisions(frames=frames, counts=said())

    @api.post("/review/apply")
    def apply() -> Counts:
        """Write the decisions into the dataset now."""
        session.flush()
        return count()

    @api.post("/review/exemplars")
    def use_as_exemplars() -> NewExemplars:
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
        return NewExemplars(frames=len(frames))

    def said() -> Counts:
        counts = count()
        project.events.send("review", {"counts": counts.model_dump()})
        return counts

    return api
