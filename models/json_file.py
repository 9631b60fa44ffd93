"""JSON files that edgeloop wrote: read, or refused in one line."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from edgeloop.models.errors import DataError, describe_damage

__all__ = ["read_json"]

_Model = TypeVar("_Model", bound=BaseModel)


def read_json(path: Path, kind: type[_Model], remedy: str) -> _Model | None:
    """Read a file; None if there is none.

    Args:
        path: The file.
        kind: Model of its content.
        remedy: What to do if it is damaged, such as "restore it from a copy".

    Raises:
        DataError: It cannot be read, or is damaged.
    """
    try:
        return kind.model_validate_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    except ValidationError as error:
        raise DataError(f"{describe_damage(path, error)}; {remedy}") from error
