"""Files to be written at the end of something long, checked at its beginning."""

from __future__ import annotations

from pathlib import Path

from edgeloop.models.errors import DataError, NoInputError

__all__ = ["check_output_path"]


def check_output_path(what: str, path: Path, *, overwrite: bool) -> None:
    """Refuse a file that could not be written at the end.

    Args:
        what: What will be in it, for errors.
        path: The file.
        overwrite: Whether an existing file may be replaced.

    Raises:
        DataError: It exists.
        NoInputError: Its folder does not exist.
    """
    if path.exists() and not overwrite:
        raise DataError(f"{what} {path}: the file exists; name another one or give --overwrite")
    if not path.parent.is_dir():
        raise NoInputError(f"{what} {path}: no such folder {path.parent}")
