"""API of the zones and lines of a project."""

from __future__ import annotations

import shlex
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from edgeloop.edge.tracking.zone_file import MAX_REGIONS, Coordinate, Line, Name, Zone
from edgeloop.labeling.inputs.exemplars import IGNORE
from edgeloop.labeling.studio.jobs.verb_options import shown_path
from edgeloop.labeling.studio.project import Project
from edgeloop.labeling.studio.zones.zone_store import PlaceError, StaleError, ZoneStore
from edgeloop.models.errors import DataError

__all__ = ["zones_api"]

_Point = Annotated[list[Coordinate], Field(min_length=2, max_length=2)]


class _Place(BaseModel):
    """Polygon or line, in shares of the frame's width and height."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    name: Annotated[Name, Field(description="Name, different from all others.")]
    points: Annotated[
        list[_Point],
        Field(max_length=1000, description="Corners, or start and end of a line: x, y in shares."),
    ]
    classes: Annotated[
        list[Name] | None, Field(max_length=1000, description="Classes that count; null for all.")
    ] = None


class _Polygon(_Place):
    """Polygon in which objects are counted."""

    dwell_s: Annotated[
        float | None, Field(gt=0, description="Seconds inside after which an object is reported; or null.")
    ] = None


class _Places(BaseModel):
    """All zones and lines."""

    model_config = ConfigDict(extra="forbid")

    zones: Annotated[list[_Polygon], Field(max_length=MAX_REGIONS, description="Polygons.")] = []
    lines: Annotated[
        list[_Place],
        Field(max_length=MAX_REGIONS, description="Lines: from start to end, in is right and out is left."),
    ] = []


class _ChangedPlaces(_Places):
    """New zones and lines."""

    base: Annotated[
        str | None, Field(max_length=64, description="Revision that was changed; null to replace any.")
    ] = None


class _Shown(_Places):
    """Zones and lines as the file has them."""

    base: Annotated[str, Field(description="Revision of the file, empty without one.")]
    command: Annotated[str, Field(description="Command line that counts in them.")]
    classes: Annotated[list[str], Field(description="Classes of the project.")]
    problem: Annotated[str | None, Field(description="Reason why the file cannot be read, or null.")]


class _Reply(BaseModel):
    """Reply to a change: saved, or the reason why not, which is no error while a place is being drawn."""

    saved: Annotated[bool, Field(description="True if the change is in the file.")]
    base: Annotated[str | None, Field(description="Revision of the file; null if nothing was saved.")] = None
    detail: Annotated[str | None, Field(description="Reason why nothing was saved, or null.")] = None
    place: Annotated[
        int | None,
        Field(description="Number of the faulty place, zones first, then lines; or null."),
    ] = None


def zones_api(project: Project) -> APIRouter:
    """Build the API of a project's zones and lines."""
    api = APIRouter(tags=["zones"])

    def size() -> tuple[int, int]:
        height, width = project.image(0).shape[:2]
        return width, height

    store = ZoneStore(project.zones, size)

    @api.get("/zones")
    def show_zones() -> _Shown:
        """Show the zones and lines of zones.json; those in pixels are converted by the size of frame 0."""
        bundle, zones = shown_path(project.bundle), shown_path(project.zones)
        shown = _Shown(
            base="",
            command=shlex.join(("edgeloop", "run", bundle, "SOURCE", "--zones", zones)),
            classes=[name for name in project.drawn.names if name != IGNORE],
            problem=None,
        )
        try:
            found, base = store.read()
        except DataError as error:
            return shown.model_copy(update={"problem": str(error)})
        if found is None:
            return shown
        places = {
            "zones": [
                _Polygon(name=one.name, points=_shown_points(one), classes=_list(one), dwell_s=one.dwell_s)
                for one in found.zones
            ],
            "lines": [
                _Place(name=one.name, points=_shown_points(one), classes=_list(one)) for one in found.lines
            ],
        }
        return shown.model_copy(update={**places, "base": base})

    @api.put("/zones", response_model=_Reply)
    def put_zones(change: _ChangedPlaces) -> _Reply | JSONResponse:
        """Replace all zones and lines; saved when this returns, unless a place is faulty.

        409 if another page changed them meanwhile.
        """
        zones = [{**_common(one), "polygon": one.points, "dwell_s": one.dwell_s} for one in change.zones]
        lines = []
        for number, one in enumerate(change.lines, start=len(zones)):
            if len(one.points) != 2:
                return _Reply(saved=False, detail=f"expected two ends, got {len(one.points)}", place=number)
            lines.append({**_common(one), "from": one.points[0], "to": one.points[1]})
        try:
            base = store.write(zones, lines, change.base)
        except PlaceError as error:
            return _Reply(saved=False, detail=str(error), place=error.place)
        except StaleError as error:
            return JSONResponse({"detail": str(error)}, HTTPStatus.CONFLICT)
        project.events.send("zones", {"base": base})
        return _Reply(saved=True, base=base)

    return api


def _shown_points(place: Zone | Line) -> list[list[float]]:
    return [[min(x, 1.0), min(y, 1.0)] for x, y in place.points]


def _list(place: Zone | Line) -> list[str] | None:
    return list(place.classes) if place.classes else None


def _common(place: _Place) -> dict[str, Any]:
    return {"name": place.name, "classes": place.classes or None}
