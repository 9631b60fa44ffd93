"""Kind of a source, told from its name alone, before it is opened."""

from __future__ import annotations

import re

__all__ = ["CAMERA", "is_footage"]

CAMERA = re.compile(r"(?:/dev/video)?(\d+)")
"""Names of this machine's cameras."""


def is_footage(text: str) -> bool:
    """True if every frame of a source counts, as far as its name tells.

    Args:
        text: As for `edgeloop.edge.sources.open_source`.

    Returns:
        True for files, folders, globs and built-in scenes that are not live. False for cameras and all
        addresses: whether a server has a recording is known only once it is open.
    """
    if text.startswith("synth:"):
        return not re.search(r"[?&]fps=", text)
    return "://" not in text and not CAMERA.fullmatch(text)
