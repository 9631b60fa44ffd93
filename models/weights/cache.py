"""Where this user's programs keep what they can get again."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["cache_folder"]


def cache_folder() -> Path:
    """Where edgeloop keeps what it fetched or measured once; it may not exist yet.

    Returns:
        `$XDG_CACHE_HOME/edgeloop`, by default `~/.cache/edgeloop`
        (https://specifications.freedesktop.org/basedir-spec).

    Raises:
        RuntimeError: this user has no home folder.
    """
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edgeloop"
