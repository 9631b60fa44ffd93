"""The errors a user can meet, drawn as a tree:

    EdgeloopError           70  a fault of ours, or of a library below us
    ├── UsageError           2  the command line asks for something that makes no sense
    ├── DataError           65  data that is there but cannot be used
    │   └── ModelError      65  the same, for a model file
    ├── NoInputError        66  a file or folder that is not there, or is empty
    └── UnavailableError    69  a camera, stream, provider or package that does not answer

Each message is one line: what, where, expected and got, and what to do next. The command line prints it
and leaves with `exit_code` (the numbers are those of BSD's sysexits.h).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError

__all__ = [
    "DataError",
    "EdgeloopError",
    "ModelError",
    "NoInputError",
    "UnavailableError",
    "UsageError",
    "first_validation_error",
]


class EdgeloopError(Exception):
    """Base of all errors that edgeloop raises on purpose."""

    exit_code = 70


class UsageError(EdgeloopError):
    """Arguments that contradict each other or lie outside their range."""

    exit_code = 2


class DataError(EdgeloopError):
    """Input that exists but is corrupt, inconsistent or of another kind than expected."""

    exit_code = 65


class ModelError(DataError):
    """A model file that cannot be trusted, parsed or run."""


class NoInputError(EdgeloopError):
    """An input path that does not exist or holds nothing."""

    exit_code = 66


class UnavailableError(EdgeloopError):
    """A device, stream, execution provider or optional package that is not available."""

    exit_code = 69


def first_validation_error(error: ValidationError, whole: str) -> str:
    """The first thing that is wrong with data from outside, in one line.

    Args:
        error: From pydantic.
        whole: What to call the place of a mistake that is not in one field.

    Returns:
        Where and what, such as "images.0.width: Field required".
    """
    first = error.errors(include_url=False, include_context=False)[0]
    return f"{'.'.join(map(str, first['loc'])) or whole}: {first['msg']}"
