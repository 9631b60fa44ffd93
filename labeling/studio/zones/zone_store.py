"""Zone file of a project, saved after every change."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from edgeloop.edge.host.durable_file import replace_file
from edgeloop.edge.tracking.zone_file import MAX_BYTES, ZoneFile, check_places
from edgeloop.models.errors import DataError, UnavailableError, describe_damage, first_error_details

__all__ = ["PlaceError", "StaleError", "ZoneStore"]

_DECIMALS = 5  # of a share: a thirtieth of a pixel at 4K


class PlaceError(DataError):
    """Fault of one place.

    Attributes:
        place: Number of the place, zones first, then lines; None if it is not one place's fault.
    """

    def __init__(self, text: str, place: int | None) -> None:
        super().__init__(text)
        self.place = place


class StaleError(DataError):
    """Change that is based on a file which changed meanwhile."""


class ZoneStore:
    """Thread-safe zone file in shares of the frame. Without places there is no file."""

    def __init__(self, path: Path, size_of: Callable[[], tuple[int, int]]) -> None:
        """Use a file, which need not exist.

        Args:
            path: The zone file.
            size_of: Gives width and height of the frames, for a file in pixels.
        """
        self.path = path
        self._size_of = size_of
        self._lock = threading.Lock()

    def read(self) -> tuple[ZoneFile | None, str]:
        """Zones and lines in shares, None without a file; and the revision of the file.

        Raises:
            DataError: The file is malformed, or its places reach beyond the frames.
        """
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return None, ""
        except OSError as error:
            raise DataError(f"{self.path}: cannot be read ({error.strerror})") from error
        if len(data) > MAX_BYTES:
            raise DataError(f"{self.path}: {len(data)} bytes, expected at most {MAX_BYTES}")
        try:
            found = ZoneFile.model_validate_json(data)
        except ValidationError as error:
            raise DataError(f"{describe_damage(self.path, error)}; correct it, or move it away") from error
        revision = hashlib.sha256(data).hexdigest()[:16]
        if found.in_shares:
            return found, revision
        width, height = self._size_of()
        check_places(str(self.path), found, (width, height))
        return found.scaled(1 / width, 1 / height), revision

    def write(self, zones: list[dict[str, Any]], lines: list[dict[str, Any]], base: str | None) -> str:
        """Check and save all places; gives the revision of the file.

        Args:
            zones: Polygons as of the file, in shares of the frame.
            lines: Lines as of the file, in shares of the frame.
            base: Revision that was changed; None to replace any.

        Raises:
            PlaceError: A place is no good.
            StaleError: The file has another revision.
            DataError: The file that is there is malformed.
            UnavailableError: The file cannot be written.
        """
        text = _checked(zones, lines)
        with self._lock:
            current = self.read()[1]  # refuses to replace a malformed file
            if base is not None and base != current:
                raise StaleError("another page changed the zones; they were loaded again")
            if text is None:
                self._delete()
                return ""
            replace_file(self.path, text.encode())
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def _delete(self) -> None:
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            raise UnavailableError(f"{self.path}: cannot be deleted ({error.strerror})") from error


def _checked(zones: list[dict[str, Any]], lines: list[dict[str, Any]]) -> str | None:
    """Text of the file; None without places."""
    places = [("zones", one) for one in zones] + [("lines", one) for one in lines]
    if not places:
        return None
    names: list[str] = []
    for number, (kind, place) in enumerate(places):
        try:
            ZoneFile.model_validate({kind: [place], "units": "shares"})
        except ValidationError as error:
            raise PlaceError(_fault(error, 2).removeprefix(f"{place['name']!r}: "), number) from error
        if place["name"] in names:
            raise PlaceError(f"expected different names, got {place['name']!r} twice", number)
        names.append(place["name"])
    try:
        file = ZoneFile.model_validate({"zones": zones, "lines": lines, "units": "shares"})
    except ValidationError as error:
        raise PlaceError(_fault(error), None) from error
    content = file.model_dump(mode="json", by_alias=True, exclude_none=True)
    return json.dumps(_rounded(content), ensure_ascii=False, indent=1) + "\n"


def _rounded(value: object) -> object:
    if isinstance(value, dict):
        return {key: one if key == "dwell_s" else _rounded(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_rounded(one) for one in value]
    return round(value, _DECIMALS) if isinstance(value, float) else value


def _fault(error: ValidationError, known: int = 0) -> str:
    """First error, with its place in the file after `known` parts of it."""
    first = first_error_details(error)
    place = ".".join(map(str, first["loc"][known:]))
    return f"{place}: {first['msg']}" if place else first["msg"]
