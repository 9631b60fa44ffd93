"""Kind of a source, told from its name alone: before anything is opened, or imported to open it."""

from __future__ import annotations

import re

__all__ = ["CAMERA", "is_footage"]

CAMERA = re.compile(r"(?:/dev/video)?(\d+)")
"""The names of this machine's cameras."""


def is_footage(text: str) -> bool:
    """Tell from its name alone whether every frame of a source counts.

    Args:
        text: as for `edgeloop.edge.sources.open_source`.

    Returns:
        True for files, folders, globs and built-in scenes that are not live. False for cameras and for every
        address: of a recording that a server has, one knows only once it is open.
    """
    if text.startswith("synth:"):
        return not re.search(r"[?&]fps=", text)
    return "://" not in text and not CAMERA.fullmatch(text)
