"""API of a teaching: who answers, how fast and how well, over time."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from pathlib import Path

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, ValidationError

from edgeloop.labeling.lineage.loop_folder import LoopFolder
from edgeloop.labeling.studio.project import Project
from edgeloop.models.errors import EdgeloopError

__all__ = ["teach_api"]

_MOST, _MOST_BYTES = 2000, 1 << 20  # moments of the answer, and the end of the file that is read for them


class _Moment(BaseModel):
    """Moment of LOOP/timeline.jsonl that the page draws.

    Attributes:
        time_s: Seconds since the start of the command.
        answers: Who answers; null before the first answer.
        fps: Frames answered per second.
        kept: Frames kept to learn from.
        map50: mAP50 of the last answers; null if the truth is unknown.
        events: Lines about what happened.
    """

    model_config = ConfigDict(extra="ignore")

    time_s: float
    answers: str | None
    fps: float
    kept: int
    map50: float | None
    events: tuple[str, ...] = ()


class _Teaching(BaseModel):
    """Course of the last start of `edgeloop teach`.

    Attributes:
        drawn: True if there are boxes to learn from.
        moments: Its last moments, in order.
        bundle: Path of the detector in use, below the folder of the project; null before the first.
    """

    drawn: bool
    moments: list[_Moment]
    bundle: str | None


def teach_api(project: Project) -> APIRouter:
    """Build the API of a project's loop."""
    api = APIRouter()

    @api.get("/teaching")
    def teaching() -> _Teaching:
        """Course of the teaching."""
        return _Teaching(
            drawn=bool(project.drawn.drawn()), moments=_moments(project), bundle=_bundle(project)
        )

    return api


def _moments(project: Project) -> list[_Moment]:
    """Moments of the last start: a time that is less than the one before begins another."""
    moments: deque[_Moment] = deque(maxlen=_MOST)
    for line in _end(project.loop / "timeline.jsonl").splitlines():
        with suppress(ValidationError):  # the first and the last line may be incomplete
            moment = _Moment.model_validate_json(line)
            if moments and moment.time_s < moments[-1].time_s:
                moments.clear()
            moments.append(moment)
    return list(moments)


def _end(path: Path) -> bytes:
    """Read the end of a file that may have grown for months; empty if there is none."""
    with suppress(OSError), path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _MOST_BYTES))
        return file.read()
    return b""


def _bundle(project: Project) -> str | None:
    with suppress(EdgeloopError):
        loop = LoopFolder.open(project.loop)
        if (current := loop.current()) is not None:
            return str(loop.bundle(current.number).relative_to(project.work))
    return None
