"""Messages between the page's server and the process that finds proposals, a JSON object a line."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from edgeloop.labeling.engine.promise import Promise

__all__ = ["MESSAGES", "Found", "Learned", "Next", "Progressed", "ProposedBox"]


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Progressed(_Message):
    """State of the process.

    Attributes:
        state: As of `GET proposals`.
        detail: One line for the person; empty if the state says it all.
        learned_from: Number of frames that are learned from.
        progress: Share of the state that is over, in [0, 1].
    """

    kind: Literal["state"] = "state"
    state: Literal["waiting", "learning", "searching", "ready"]
    detail: str = ""
    learned_from: int = 0
    progress: float = 0.0


class Learned(_Message):
    """End of a round of learning.

    Attributes:
        round: Number of the round.
        learned_from: Number of frames that it learned from.
        estimate: Quality on frames that are not drawn; None if the drawn ones do not tell.
    """

    kind: Literal["learned"] = "learned"
    round: int
    learned_from: int
    estimate: Promise | None


class ProposedBox(_Message):
    """Box of an object that nobody drew.

    Attributes:
        xyxy: Corners, px of the frame.
        name: Class name.
        score: Probability that it is right.
    """

    xyxy: tuple[float, float, float, float]
    name: str
    score: float


class Found(_Message):
    """Boxes found in a frame, by descending score.

    Attributes:
        frame: Number of the frame.
        round: Round that found them.
    """

    kind: Literal["found"] = "found"
    frame: int
    round: int
    boxes: tuple[ProposedBox, ...]


class Next(_Message):
    """Frames that are worth drawing first, before anything is drawn."""

    kind: Literal["next"] = "next"
    frames: tuple[int, ...]


MESSAGES: TypeAdapter[Progressed | Learned | Found | Next] = TypeAdapter(
    Annotated[Progressed | Learned | Found | Next, Field(discriminator="kind")]
)
