"""Zone file of `edgeloop run --zones`: polygons and lines in which to count.

{
  "zones": [{"name": "yard", "polygon": [[10, 20], [300, 20], [300, 200]], "dwell_s": 30}],
  "lines": [{"name": "gate", "from": [0, 180], "to": [320, 180], "classes": ["car"]}]
}
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Self

import cv2
import numpy as np
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from edgeloop.models.errors import DataError, NoInputError, first_error_details

__all__ = ["Line", "Zone", "ZoneFile", "read_zones"]

MAX_BYTES = 1 << 20
MAX_REGIONS = 100
MAX_CORNERS = 1000

Pixel = Annotated[float, Field(ge=0, le=65536)]
Point = tuple[Pixel, Pixel]
Name = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]


class _Region(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: Name
    classes: tuple[Name, ...] | None = None


class Zone(_Region):
    """Polygon in which objects are counted.

    Attributes:
        name: Unique in its file.
        classes: Names of the classes that count; None for all.
        polygon: Corners x, y in pixels of the source frame, at least three.
        dwell_s: Time in seconds inside after which an object is reported; None for never.
    """

    polygon: Annotated[tuple[Point, ...], Field(min_length=3, max_length=MAX_CORNERS)]
    dwell_s: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _has_area(self) -> Self:
        if cv2.contourArea(np.array(self.polygon, np.float32)) < 1:
            raise ValueError("expected a polygon with an area, its corners lie on one line")
        return self


class Line(_Region):
    """Line over which objects are counted: from its start to its end, `in` is right and `out` is left.

    Attributes:
        name: Unique in its file.
        classes: Names of the classes that count; None for all.
        start: x, y in pixels of the source frame; `from` in the file.
        end: x, y in pixels of the source frame; `to` in the file.
    """

    start: Annotated[Point, Field(alias="from")]
    end: Annotated[Point, Field(alias="to")]

    @model_validator(mode="after")
    def _has_length(self) -> Self:
        if self.start == self.end:
            raise ValueError("expected two different ends, got the same point twice")
        return self


class ZoneFile(BaseModel):
    """Content of a zone file.

    Attributes:
        zones: Polygons in which to count.
        lines: Lines over which to count.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    zones: Annotated[tuple[Zone, ...], Field(max_length=MAX_REGIONS)] = ()
    lines: Annotated[tuple[Line, ...], Field(max_length=MAX_REGIONS)] = ()

    @model_validator(mode="after")
    def _is_of_use(self) -> Self:
        names = [place.name for place in (*self.zones, *self.lines)]
        if not names:
            raise ValueError("expected at least one zone or line, got none")
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"expected different names, got {name!r} twice")
        return self


def read_zones(path: Path, names: Sequence[str]) -> ZoneFile:
    """Read and check a zone file.

    Args:
        path: JSON file.
        names: The model's class names.

    Returns:
        Its content.

    Raises:
        NoInputError: There is no such file.
        DataError: The file is malformed, or names a class that the model does not have.
    """
    if not path.is_file():
        raise NoInputError(f"zones {path}: no such file")
    if path.stat().st_size > MAX_BYTES:
        raise DataError(f"zones {path}: {path.stat().st_size} bytes, expected at most {MAX_BYTES}")
    try:
        found = ZoneFile.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise DataError(f"zones {path}: {_first(error)}") from error
    for place in (*found.zones, *found.lines):
        unknown = sorted(set(place.classes or ()) - set(names))
        if unknown:
            raise DataError(
                f"zones {path}: {place.name!r} counts the class {unknown[0]!r}, which the model does not "
                f"have; it has {_shorten(names)}"
            )
    return found


def _first(error: ValidationError) -> str:
    """Position, expectation and value of the first mistake, in one line."""
    mistake = first_error_details(error)
    place = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in mistake["loc"]).lstrip(".")
    message = mistake["msg"].removeprefix("Value error, ")
    text = f"{place}: {message}" if place else message
    named = mistake["type"] == "extra_forbidden" or isinstance(mistake["input"], dict | bytes)
    if not named and "got" not in message:
        text += f", got {mistake['input']!r:.60}"
    if error.error_count() > 1:
        text += f" (and {error.error_count() - 1} more)"
    return f"{text}; `edgeloop run --help` shows the form"


def _shorten(names: Sequence[str]) -> str:
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
