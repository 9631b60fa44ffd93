"""Messages of the process that learns to the one that answers, a JSON object a line."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from edgeloop.labeling.lineage.generation import Verdict

__all__ = ["MESSAGES", "FramesWanted", "GenerationMade", "Message", "TeacherReady", "Told"]


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Told(_Message):
    """Line for the person.

    Attributes:
        text: The line.
    """

    kind: Literal["told"] = "told"
    text: str


class TeacherReady(_Message):
    """Teacher that was published.

    Attributes:
        round: Round of learning that it comes from.
        learned_from: Number of the person's frames that it learned from.
        map50: Expected mean average precision at IoU 0.5 of its labels; None if unknown.
    """

    kind: Literal["teacher"] = "teacher"
    round: int
    learned_from: int
    map50: float | None


class GenerationMade(_Message):
    """Generation that was made and judged.

    Attributes:
        number: Its number.
        verdict: What became of it.
        reason: Why, in one line.
    """

    kind: Literal["generation"] = "generation"
    number: int
    verdict: Verdict
    reason: str


class FramesWanted(_Message):
    """Number of frames to keep, and no more until another one is wanted.

    Attributes:
        frames: The number, those included that are kept already.
    """

    kind: Literal["wanted"] = "wanted"
    frames: int


Message = TeacherReady | GenerationMade | FramesWanted | Told

MESSAGES: TypeAdapter[Message] = TypeAdapter(Annotated[Message, Field(discriminator="kind")])
