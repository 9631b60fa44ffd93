"""Exceptions that edgeloop raises on purpose.

    EdgeloopError           70  internal error, ours or of a library
    ├── UsageError           2  contradictory or invalid arguments
    ├── DataError           65  unusable data
    │   └── ModelError      65  unusable model file
    │       └── OutputError 65  output of a model that is not finite, or absurd
    ├── NoInputError        66  missing or empty file or folder
    └── UnavailableError    69  unavailable camera, stream, provider, package, or place to write to

Each message is one line: what, where, expected and got, and what to do next. The command line prints it
and exits with `exit_code` (as in BSD's sysexits.h).
"""

from __future__ import annotations

import errno
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

__all__ = [
    "AbsurdOutputError",
    "DataError",
    "EdgeloopError",
    "ModelError",
    "NoInputError",
    "NonFiniteOutputError",
    "OutputError",
    "UnavailableError",
    "UsageError",
    "describe_damage",
    "file_remedy",
    "first_error_details",
    "first_validation_error",
]


_JSON_PLACE = re.compile(r"(.*) at line (\d+) column (\d+)$")
"""Fault of a parser, its line and its column."""

_CLOSED = "name another place, or let this user write there"
_FULL = "make room, and give the same command again"
_NO_PLACE = "name another place"
_REMEDIES = {
    errno.EACCES: _CLOSED,
    errno.EPERM: _CLOSED,
    errno.EROFS: _CLOSED,
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.ENOTDIR: _NO_PLACE,
    errno.ENAMETOOLONG: _NO_PLACE,
}
"""Remedies of errors of files, by their number."""


class EdgeloopError(Exception):
    """Base of all errors that edgeloop raises on purpose."""

    exit_code = 70


class UsageError(EdgeloopError):
    """Contradictory arguments or values out of range."""

    exit_code = 2


class DataError(EdgeloopError):
    """Corrupt, inconsistent or unexpected input."""

    exit_code = 65


class ModelError(DataError):
    """Damaged, malformed or unsupported model file."""


class OutputError(ModelError):
    """Output of a model that is no answer."""


class NonFiniteOutputError(OutputError):
    """Output with values that are no finite numbers."""


class AbsurdOutputError(OutputError):
    """Output with scores beyond 1, boxes far beyond the image, or classes without a name."""


class NoInputError(EdgeloopError):
    """Missing or empty input path."""

    exit_code = 66


class UnavailableError(EdgeloopError):
    """Unavailable device, stream, execution provider, optional package, or place to write to."""

    exit_code = 69


def file_remedy(error: OSError) -> str:
    """Remedy of an error of a file or disk, such as "make room"; empty if it is unknown."""
    return _REMEDIES.get(error.errno or 0, "")


def first_error_details(error: ValidationError) -> ErrorDetails:
    """Pick the first error of a pydantic validation; an unknown field before what is missing in its place."""
    first = min(error.errors(include_url=False), key=lambda one: one["type"] != "extra_forbidden")
    if first["type"] == "extra_forbidden":
        first["msg"] = "unknown field"
    first["msg"] = first["msg"].removeprefix("Value error, ")
    return first


def first_validation_error(error: ValidationError, whole: str) -> str:
    """Describe the first error of a pydantic validation in one line.

    Args:
        error: The validation error.
        whole: Location to name if the error is not in one field.

    Returns:
        Location and message, such as "images.0.width: Field required".
    """
    first = first_error_details(error)
    return f"{'.'.join(map(str, first['loc'])) or whole}: {first['msg']}"


def describe_damage(path: object, error: ValidationError, *, line: int | None = None) -> str:
    """Describe the first fault of a JSON file in one line; the caller adds what to do.

    Args:
        path: The file.
        error: Error of its validation.
        line: Number of the line that was validated, from 1; None for the whole file.

    Returns:
        Place and fault, such as "run.json:3:14: no JSON (expected value)" with line and column, or
        "run.json: images.0.width: Field required".
    """
    first = first_error_details(error)
    cause = first.get("ctx", {}).get("error") if first["type"] == "json_invalid" else None
    if found := _JSON_PLACE.match(str(cause)):
        fault, row, column = found.groups()
        return f"{path}:{line or row}:{column}: no JSON ({fault})"
    place = str(path) if line is None else f"{path}:{line}"
    return ": ".join(filter(None, (place, ".".join(map(str, first["loc"])), first["msg"])))
