"""API of an audit: the sample without its scores, images, answers, and figures."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from functools import lru_cache
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from edgeloop.edge.host.opencv import encode_image
from edgeloop.labeling.audit.answers import Answers, Point
from edgeloop.labeling.audit.audit_session import AuditSession
from edgeloop.labeling.audit.pictures import render_box, render_frame
from edgeloop.labeling.audit.report import report_json, report_lines
from edgeloop.labeling.audit.sample import Sample
from edgeloop.models.errors import DataError, NoInputError

__all__ = ["audit_api"]

_BOX_SIDE_PX = 720
_JPEG_QUALITY = 93
_Place = Annotated[int, Field(ge=0, description="Place in the sample, from 0.")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class _Choice(_Strict):
    """Size of a sample, and its random seed."""

    boxes: Annotated[int, Field(ge=1, le=2000, description="Labels to check, for precision.")] = 100
    frames: Annotated[int, Field(ge=1, le=500, description="Frames to check, for recall.")] = 20
    seed: Annotated[int, Field(ge=0, le=2**31, description="Random seed.")] = 0


class _Size(BaseModel):
    """Size of a frame."""

    width: Annotated[int, Field(description="Width in pixels.")]
    height: Annotated[int, Field(description="Height in pixels.")]


class _Audit(BaseModel):
    """Sample that is being asked about, without scores, which would bias the person."""

    dataset: Annotated[str, Field(description="Folder of the dataset.")]
    fixed: Annotated[bool, Field(description="True if no other sample can be chosen.")]
    problem: Annotated[str | None, Field(description="Reason why there is no sample, or null.")] = None
    choice: Annotated[_Choice | None, Field(description="Size and seed of the sample.")] = None
    command: Annotated[str, Field(description="Command line that goes on with this audit.")] = ""
    classes: Annotated[tuple[str, ...], Field(description="Class names.")] = ()
    boxes: Annotated[list[str], Field(description="Class of each box of the sample.")] = []
    frames: Annotated[list[_Size], Field(description="Size of each frame of the sample.")] = []
    answers: Annotated[Answers, Field(description="Answers so far.")] = Answers()


class _BoxAnswer(_Strict):
    """Answer about a box."""

    right: Annotated[bool, Field(description="True if class and box are right.")]


class _FrameAnswer(_Strict):
    """Answer about a frame."""

    model_config = ConfigDict(strict=False)

    missed: Annotated[
        tuple[Point, ...],
        Field(max_length=1000, description="One point in each object without a right label, x, y in pixels."),
    ]


class _Figures(BaseModel):
    """Precision and recall, estimated from the answers so far."""

    complete: Annotated[bool, Field(description="True if everything is answered.")]
    lines: Annotated[list[str], Field(description="The figures as text.")]
    figures: Annotated[dict[str, Any], Field(description="The same as `edgeloop audit --json` prints.")]


class _Saved(BaseModel):
    """Reply to an answer, which is saved."""

    complete: Annotated[bool, Field(description="True if everything is answered.")]
    figures: Annotated[_Figures | None, Field(description="The figures, if everything is answered.")] = None


def audit_api(
    session: AuditSession,
    *,
    on_answer: Callable[[], None] = lambda: None,
    on_done: Callable[[], None] = lambda: None,
) -> APIRouter:
    """Build the API of an audit.

    Args:
        session: The audit.
        on_answer: Called after every answer, and after another sample was drawn.
        on_done: Called once everything is answered, or the person is done.
    """
    api = APIRouter(tags=["audit"])

    @lru_cache(maxsize=16)
    def picture(sample: Sample, kind: Literal["box", "frame"], place: int, drawn: bool) -> bytes:
        if kind == "box":
            image = render_box(_at(sample.boxes, place), _BOX_SIDE_PX, drawn=drawn)
        else:
            image = render_frame(_at(sample.frames, place), sample.names, drawn=drawn)
        return encode_image(".jpg", image, quality=_JPEG_QUALITY)

    def reply(kind: Literal["box", "frame"], place: int, drawn: bool) -> Response:
        sample = session.sample()
        if sample is None:
            raise NoInputError("no sample was drawn yet")
        return Response(picture(sample, kind, place, drawn), media_type="image/jpeg")

    def saved(complete: bool) -> _Saved:
        on_answer()
        if not complete:
            return _Saved(complete=False)
        figures = _figures(session)
        on_done()
        return _Saved(complete=True, figures=figures)

    @api.get("/audit")
    def show_audit() -> _Audit:
        """Show the sample and the answers so far."""
        try:
            sample = session.sample()
        except (DataError, NoInputError) as error:
            return _Audit(dataset=str(session.dataset), fixed=session.fixed, problem=str(error))
        if sample is None:
            return _Audit(dataset=str(session.dataset), fixed=session.fixed)
        return _shown(sample, session.answers(), session.fixed)

    @api.post("/audit/start")
    def start_audit(choice: _Choice) -> _Audit:
        """Draw another sample; answers to an earlier one are kept in audit-1.json, audit-2.json, ..."""
        sample = session.start(choice.boxes, choice.frames, choice.seed)
        on_answer()
        return _shown(sample, session.answers(), session.fixed)

    @api.get("/audit/boxes/{place}/image", response_class=Response)
    def box_image(place: _Place, drawn: bool = True) -> Response:
        """Image of a box with its surroundings, JPEG; its line is left out with drawn=false."""
        return reply("box", place, drawn)

    @api.get("/audit/frames/{place}/image", response_class=Response)
    def frame_image(place: _Place, drawn: bool = True) -> Response:
        """Image of a frame with its labels, JPEG; they are left out with drawn=false."""
        return reply("frame", place, drawn)

    @api.put("/audit/boxes/{place}")
    def answer_box(place: _Place, answer: _BoxAnswer) -> _Saved:
        """Answer about a box: the next one, or one that was answered. Saved when this returns."""
        return saved(session.answer_box(place, answer.right))

    @api.put("/audit/frames/{place}")
    def answer_frame(place: _Place, answer: _FrameAnswer) -> _Saved:
        """Answer about a frame: the next one, or one that was answered. Saved when this returns."""
        return saved(session.answer_frame(place, answer.missed))

    @api.get("/audit/figures")
    def figures() -> _Figures:
        """Estimate precision and recall from the answers so far."""
        return _figures(session)

    @api.post("/audit/done")
    def done() -> _Figures:
        """End the audit here: `edgeloop audit` prints the figures and ends."""
        figures = _figures(session)
        on_done()
        return figures

    return api


def _shown(sample: Sample, answers: Answers, fixed: bool) -> _Audit:
    choice = _Choice(boxes=len(sample.boxes), frames=len(sample.frames), seed=sample.seed)
    words = f"--boxes {choice.boxes} --frames {choice.frames} --seed {choice.seed}"
    return _Audit(
        dataset=str(sample.dataset),
        fixed=fixed,
        choice=choice,
        command=f"edgeloop audit {shlex.quote(str(sample.dataset))} {words}",
        classes=sample.names,
        boxes=[sample.names[box.class_id] for box in sample.boxes],
        frames=[_Size(width=frame.width, height=frame.height) for frame in sample.frames],
        answers=answers,
    )


def _figures(session: AuditSession) -> _Figures:
    sample, answers, found = session.sample(), session.answers(), session.estimate()
    if sample is None:
        raise NoInputError("no sample was drawn yet")
    return _Figures(
        complete=len(answers.boxes) == len(sample.boxes) and len(answers.frames) == len(sample.frames),
        lines=report_lines(sample, found),
        figures=report_json(sample, found),
    )


def _at(places: tuple[Any, ...], place: int) -> Any:
    if place >= len(places):
        raise NoInputError(f"place {place}: there are {len(places)}, counted from 0")
    return places[place]
