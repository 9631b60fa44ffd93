"""Cache folder of this user."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["cache_folder"]


def cache_folder() -> Path:
    """Locate the folder of cached downloads and measurements, which may not exist yet.

    Returns:
        `$XDG_CACHE_HOME/edgeloop`, by default `~/.cache/edgeloop`
        (https://specifications.freedesktop.org/basedir-spec).

    Raises:
        RuntimeError: The user has no home folder.
    """
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edgeloop"
