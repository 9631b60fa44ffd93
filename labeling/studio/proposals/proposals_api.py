"""API of the proposals: boxes on frames that nobody drew, and which frame to draw next."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Len
from fastapi import APIRouter, Query
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict

from edgeloop.labeling.engine.promise import Promise
from edgeloop.labeling.studio.box_picture import box_picture
from edgeloop.labeling.studio.project import Project
from edgeloop.labeling.studio.proposals.messages import ProposedBox
from edgeloop.labeling.studio.proposals.proposer import Proposer, State
from edgeloop.labeling.studio.proposals.ranking import FrameRow
from edgeloop.labeling.studio.proposals.rejections import MAX_BOXES, RejectedBox
from edgeloop.models.errors import DataError

__all__ = ["proposals_api"]

_PICTURE_PX = 96


class _Proposal(ProposedBox):
    """Proposal of a frame."""

    frame: int


class _Summary(BaseModel):
    """State of the proposals.

    Attributes:
        state: "off", "waiting" for boxes, "learning", "searching", "ready", "paused" or "failed".
        detail: One line about it.
        learned_from: Frames that the latest finished round learned from.
        learning_from: Frames that are being learned from.
        round: Number of the latest finished round.
        progress: Share of the state that is over, in [0, 1].
        estimate: Quality on other frames, from drawn frames left out; null if it is unknown.
        searched: Number of frames that were searched.
        frames: Rows of number, count of likely proposals, highest probability, and doubt.
        surest: Proposals that are surest, each of another frame.
        doubtful: Proposals in most doubt, each of another frame.
        next: Frames to draw next, the one in most doubt first.
    """

    state: State
    detail: str
    learned_from: int
    learning_from: int
    round: int
    progress: float
    estimate: Promise | None
    searched: int
    frames: list[FrameRow]
    surest: list[_Proposal]
    doubtful: list[_Proposal]
    next: list[int]


class _Proposals(BaseModel):
    """Proposals of a frame.

    Attributes:
        proposals: The boxes, the surest first.
    """

    proposals: list[ProposedBox]


class _Rejection(BaseModel):
    """Proposals that are rejected.

    Attributes:
        boxes: The boxes.
    """

    model_config = ConfigDict(extra="forbid")

    boxes: Annotated[tuple[RejectedBox, ...], Len(1, MAX_BOXES)]


def proposals_api(project: Project, proposer: Proposer) -> APIRouter:
    """Build the API of a project's proposals."""
    api = APIRouter(tags=["proposals"])

    @api.get("/proposals")
    def summarize() -> _Summary:
        """State of the proposals, the estimate of their quality, and the frames that have some."""
        return _Summary(**proposer.summary())

    @api.get("/frames/{number}/proposals")
    def proposals(number: int) -> _Proposals:
        """Proposals of a frame that nobody drew or rejected."""
        project.entry(number)
        return _Proposals(proposals=proposer.of(number))

    @api.post("/frames/{number}/proposals/reject")
    def reject(number: int, change: _Rejection) -> _Proposals:
        """Reject proposals of a frame: no later round shows them again."""
        project.entry(number)
        proposer.reject(number, change.boxes)
        return _Proposals(proposals=proposer.of(number))

    @api.post("/frames/{number}/proposals/restore")
    def restore(number: int, change: _Rejection) -> _Proposals:
        """Take back the rejection of proposals."""
        project.entry(number)
        proposer.reject(number, change.boxes, restore=True)
        return _Proposals(proposals=proposer.of(number))

    @api.get("/frames/{number}/crop", response_class=Response)
    def crop(number: int, xyxy: Annotated[str, Query(max_length=100)]) -> Response:
        """Square picture around a box, `xyxy` in pixels separated by commas; JPEG, 96 px a side."""
        image = project.image(number)
        try:
            x1, y1, x2, y2 = (float(side) for side in xyxy.split(","))
        except ValueError:
            raise DataError(f"xyxy: expected four numbers, got {xyxy!r}") from None
        height, width = image.shape[:2]
        if not (0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height):
            raise DataError(f"xyxy: expected a box inside the frame of {width}x{height}, got {xyxy!r}")
        picture = box_picture(image, (x1, y1, x2, y2), _PICTURE_PX)
        return Response(picture, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=3600"})

    return api
