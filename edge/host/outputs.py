"""Checks of output files at the start of a long run."""

from __future__ import annotations

import os
from pathlib import Path

from edgeloop.models.errors import DataError, NoInputError, UnavailableError

__all__ = ["check_output_path"]


def check_output_path(what: str, path: Path, *, overwrite: bool) -> None:
    """Refuse an output file that could not be written later.

    Args:
        what: Name of the output, for errors.
        path: Output file.
        overwrite: Accept an existing file.

    Raises:
        DataError: The file exists.
        NoInputError: The folder does not exist.
        UnavailableError: This user may not write there.
    """
    if path.exists() and not overwrite:
        raise DataError(f"{what} {path}: the file exists; name another one or give --overwrite")
    if not path.parent.is_dir():
        raise NoInputError(f"{what} {path}: no such folder {path.parent}")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise UnavailableError(f"{what} {path}: cannot be written (Permission denied); name another file")
