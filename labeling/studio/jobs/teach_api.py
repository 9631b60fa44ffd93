"""API of a teaching: who answers, how fast and how well, over time."""

from __future__ import annotations

from collections import deque
from contextlib import suppress

from fastapi import APIRouter
from pydantic import BaseModel, TypeAdapter, ValidationError

from edgeloop.labeling.lineage.loop_folder import LoopFolder
from edgeloop.labeling.studio.jobs.runner import read_tail
from edgeloop.labeling.studio.project import Project
from edgeloop.labeling.teaching.course.timeline import Moment
from edgeloop.models.errors import EdgeloopError

__all__ = ["teach_api"]

_MOST, _MOST_BYTES = 2000, 1 << 20  # moments of the answer, and the end of the file that is read for them


_MOMENT = TypeAdapter(Moment)


class _Teaching(BaseModel):
    """Course of the last start of `edgeloop teach`.

    Attributes:
        drawn: True if there are boxes to learn from.
        moments: Its last moments, in order.
        bundle: Path of the detector in use, below the folder of the project; null before the first.
    """

    drawn: bool
    moments: list[Moment]
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


def _moments(project: Project) -> list[Moment]:
    """Moments of the last start: a time that is less than the one before begins another."""
    moments: deque[Moment] = deque(maxlen=_MOST)
    for line in read_tail(project.loop / "timeline.jsonl", _MOST_BYTES).splitlines():
        with suppress(ValidationError):  # the first and the last line may be incomplete
            moment = _MOMENT.validate_json(line)
            if moments and moment.time_s < moments[-1].time_s:
                moments.clear()
            moments.append(moment)
    return list(moments)


def _bundle(project: Project) -> str | None:
    with suppress(EdgeloopError):
        loop = LoopFolder.open(project.loop)
        if (current := loop.current()) is not None:
            return str(loop.bundle(current.number).relative_to(project.work))
    return None
