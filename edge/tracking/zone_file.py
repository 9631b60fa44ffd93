"""Zone file of `edgeloop run --zones`: polygons and lines in which to count.

{
  "zones": [{"name": "yard", "polygon": [[10, 20], [300, 20], [300, 200]], "dwell_s": 30}],
  "lines": [{"name": "gate", "from": [0, 180], "to": [320, 180], "classes": ["car"]}],
  "units": "pixels"
}

Coordinates are pixels of the frame, or shares of its width and height from 0 to 1. A file without `units` is
in shares if no coordinate is beyond 1.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from edgeloop.models.errors import DataError, NoInputError, describe_damage, first_error_details

__all__ = ["Line", "Zone", "ZoneFile", "check_places", "read_zones"]

log = logging.getLogger(__name__)

MAX_BYTES = 1 << 20
MAX_REGIONS = 100
MAX_CORNERS = 1000

TOLERANCE = 0.01
"""Share of the frame by which a coordinate may be beyond it, as tools round."""

SAME_SHAPE = 0.02
"""Largest relative difference of two aspect ratios of one view: cameras round the sides of small streams."""

_ENTRIES: Mapping[str | int, str] = {"zones": "zones", "lines": "lines", "polygon": "points"}
"""Names of the entries of a key, for errors; those of other keys with a fixed number are coordinates."""

MIN_AREA = {"pixels": 1.0, "shares": 1e-6}

Coordinate = Annotated[float, Field(ge=0, le=65536)]
Point = tuple[Coordinate, Coordinate]
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
        polygon: Corners x, y in the units of the file, at least three; no two edges cross.
        dwell_s: Time in seconds inside after which an object is reported; None for never.
    """

    polygon: Annotated[tuple[Point, ...], Field(min_length=3, max_length=MAX_CORNERS)]
    dwell_s: Annotated[float, Field(gt=0)] | None = None

    @property
    def points(self) -> tuple[Point, ...]:
        """The corners."""
        return self.polygon

    def scaled(self, x: float, y: float) -> Self:
        """Multiply all coordinates."""
        return self.model_copy(update={"polygon": tuple((px * x, py * y) for px, py in self.polygon)})


class Line(_Region):
    """Line over which objects are counted: from its start to its end, `in` is right and `out` is left.

    Attributes:
        name: Unique in its file.
        classes: Names of the classes that count; None for all.
        start: x, y in the units of the file; `from` in the file.
        end: x, y in the units of the file; `to` in the file.
    """

    start: Annotated[Point, Field(alias="from")]
    end: Annotated[Point, Field(alias="to")]

    @property
    def points(self) -> tuple[Point, ...]:
        """Both ends."""
        return self.start, self.end

    def scaled(self, x: float, y: float) -> Self:
        """Multiply all coordinates."""
        start, end = ((px * x, py * y) for px, py in self.points)
        return self.model_copy(update={"start": start, "end": end})


class ZoneFile(BaseModel):
    """Content of a zone file.

    Attributes:
        zones: Polygons in which to count.
        lines: Lines over which to count.
        units: Units of all coordinates: pixels of the source frame, or shares of its width and height.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    zones: Annotated[tuple[Zone, ...], Field(max_length=MAX_REGIONS)] = ()
    lines: Annotated[tuple[Line, ...], Field(max_length=MAX_REGIONS)] = ()
    units: Literal["pixels", "shares"] | None = None

    @model_validator(mode="after")
    def _is_of_use(self) -> Self:
        names = [place.name for place in self.places]
        if not names:
            raise ValueError("expected at least one zone or line, got none")
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"expected different names, got {name!r} twice")
        return self

    @model_validator(mode="after")
    def _can_be_meant(self) -> Self:
        for place in self.places:
            _check_units(place, self.units, self.in_shares)
            if isinstance(place, Zone):
                _check_polygon(place, MIN_AREA["shares" if self.in_shares else "pixels"])
            elif place.start == place.end:
                raise ValueError(f"{place.name!r}: expected two different ends, got the same point twice")
        return self

    @property
    def places(self) -> tuple[Zone | Line, ...]:
        """All zones, then all lines."""
        return *self.zones, *self.lines

    @property
    def in_shares(self) -> bool:
        """True if the coordinates are shares of the frame, as the file says or its values tell."""
        if self.units is None:
            return all(map(_is_small, self.places))
        return self.units == "shares"

    def scaled(self, x: float, y: float) -> ZoneFile:
        """Multiply all coordinates: shares by the size of a frame give pixels."""
        zones, lines = (tuple(place.scaled(x, y) for place in places) for places in (self.zones, self.lines))
        return self.model_copy(update={"zones": zones, "lines": lines, "units": "pixels"})


def _check_units(place: Zone | Line, units: str | None, in_shares: bool) -> None:
    """Refuse coordinates that cannot be meant in the units of their file."""
    largest = max(map(max, place.points))
    if in_shares and largest > 1 + TOLERANCE:
        raise ValueError(
            f"{place.name!r}: the file is in shares of the picture (0 to 1), got {largest:g}; "
            'for pixels state "units": "pixels"'
        )
    if not in_shares and _is_small(place):
        raise ValueError(
            f"{place.name!r}: within one pixel; shares of the picture (0 to 1) are for all places of a file "
            'or for none, and "units": "shares" states them'
        )
    if in_shares or units == "pixels":
        return
    for axis, values in zip("xy", zip(*place.points, strict=True), strict=True):
        if max(values) <= 1 and any(0 < value < 1 for value in values):
            raise ValueError(
                f"{place.name!r}: {axis} in shares of the picture ({max(values):g}) and the other axis in "
                f'pixels ({largest:g}); give both in one unit, or state "units": "pixels"'
            )


def _is_small(place: Zone | Line) -> bool:
    return max(map(max, place.points)) <= 1 + TOLERANCE


def _check_polygon(zone: Zone, min_area: float) -> None:
    corners = np.array(zone.polygon)
    for first, second in _crossings(corners):
        raise ValueError(
            f"{zone.name!r}: a bow tie: the edge from corner {first + 1} crosses the edge from corner "
            f"{second + 1}; give the corners in their order around the zone"
        )
    x, y = corners.T
    if abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2 < min_area:
        raise ValueError(f"{zone.name!r}: expected a polygon with an area, its corners lie on one line")


def _crossings(corners: NDArray[np.float64]) -> Iterator[tuple[int, int]]:
    """Find the pairs of edges that cross each other, each edge by the number of its first corner."""
    ends = np.roll(corners, -1, axis=0)
    for first, (start, end) in enumerate(zip(corners, ends, strict=True)):
        sides = _side(start, end, corners[first:]) * _side(start, end, ends[first:])
        facing = _side(corners[first:], ends[first:], start) * _side(corners[first:], ends[first:], end)
        for second in np.flatnonzero((sides < 0) & (facing < 0)):
            yield first, first + int(second)


def _side(
    start: NDArray[np.float64], end: NDArray[np.float64], points: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Sign that tells on which side of lines points are, 0 on them."""
    along, to = end - start, points - start
    return np.asarray(np.sign(along[..., 0] * to[..., 1] - along[..., 1] * to[..., 0]), np.float64)


def read_zones(path: Path, names: Sequence[str] | None, *, origin: str = "zones") -> ZoneFile:
    """Read and check a zone file.

    Args:
        path: JSON file.
        names: The model's class names; None to accept any, and to say nothing about units.
        origin: Name of the option that names the file, for messages.

    Returns:
        Its content.

    Raises:
        NoInputError: There is no such file.
        DataError: The file is malformed, or names a class that the model does not have.
    """
    place = f"{origin} {path}"
    if not path.is_file():
        raise NoInputError(f"{place}: no such file")
    if path.stat().st_size > MAX_BYTES:
        raise DataError(f"{place}: {path.stat().st_size} bytes, expected at most {MAX_BYTES}")
    data = path.read_bytes()
    try:  # editors on Windows write a byte order mark, or UTF-16
        found = ZoneFile.model_validate_json(data.decode(json.detect_encoding(data)))
    except UnicodeDecodeError as error:
        raise DataError(f"{place}: not text in UTF-8 ({error.reason} at byte {error.start})") from error
    except ValidationError as error:
        raise DataError(f"{_first(place, error)}; `edgeloop run --help` shows the form") from error
    if found.units is None and found.in_shares and names is not None:
        log.warning(
            '%s: no coordinate is beyond 1, so all are shares of the picture ("units": "shares")',
            place,
        )
    for region in found.places:
        unknown = sorted(set(region.classes or ()) - set(names or ()))
        if unknown and names is not None:
            raise DataError(
                f"{place}: {region.name!r} names the class {unknown[0]!r}, which the model does not "
                f"have; it has {_shorten(names)}"
            )
    return found


def same_shape(size: tuple[int, int], other: tuple[int, int]) -> bool:
    """True if two frame sizes (width, height) are of one view, by their aspect ratios."""
    return abs(size[0] * other[1] / (size[1] * other[0]) - 1) <= SAME_SHAPE


def check_places(origin: str, zones: ZoneFile, size: tuple[int, int]) -> None:
    """Refuse places in pixels that reach beyond the frames.

    Args:
        origin: File of the zones, for errors.
        zones: The places.
        size: (width, height) of the frames in pixels.

    Raises:
        DataError: A place reaches beyond the frames, so it was drawn on another one.
    """
    width, height = size
    for place in zones.places:
        for x, y in place.points:
            if x > width * (1 + TOLERANCE) or y > height * (1 + TOLERANCE):
                raise DataError(
                    f"{origin}: {place.name!r} reaches ({x:g}, {y:g}), but the frames are "
                    f"{width}x{height}; give the places in pixels of this source, or in shares (0 to 1)"
                )


def _first(origin: str, error: ValidationError) -> str:
    """File, position, expectation and value of the first mistake, in one line."""
    mistake = first_error_details(error)
    if mistake["type"] == "json_invalid":
        return describe_damage(origin, error)
    place = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in mistake["loc"]).lstrip(".")
    message = mistake["msg"]
    if mistake["type"] in ("too_short", "too_long"):
        sizes, what = mistake["ctx"], _ENTRIES.get(mistake["loc"][-1], "coordinates")
        limit = f"least {sizes['min_length']}" if "min_length" in sizes else f"most {sizes['max_length']}"
        message = f"expected at {limit} {what}, got {sizes['actual_length']}"
    text = f"{place}: {message}" if place else message
    named = mistake["type"] == "extra_forbidden" or isinstance(mistake["input"], dict | bytes)
    if not named and "got" not in message:
        text += f", got {mistake['input']!r:.60}"
    if error.error_count() > 1:
        text += f" (and {error.error_count() - 1} more)"
    return f"{origin}: {text}"


def _shorten(names: Sequence[str]) -> str:
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
