"""Key of a recording, by which file names of frames differ between recordings."""

from __future__ import annotations

import hashlib
import platform
from pathlib import Path

from edgeloop.edge.frame import Frame, Source

__all__ = ["recording_key"]

_DIGITS = 8
_HEAD = 1 << 16  # bytes of a file


def recording_key(source: Source, frame: Frame) -> str:
    """Make the key of a recording, the same each time that a file is read.

    Args:
        source: Source of the recording.
        frame: A frame of it, the first one that is described.

    Returns:
        Hexadecimal digits. Those of a live source depend on its name, the machine and the time; those of a
        file on its place and its beginning, those of a folder on its place, as either may grow; others on
        the name, the working folder and the frame.
    """
    path = Path(source.name)
    signs: list[object]
    if source.live:
        signs = [source.name, platform.node(), frame.wall_time]
    elif path.is_file():
        with path.open("rb") as file:
            signs = [path.resolve(), file.read(_HEAD)]
    elif path.is_dir():
        signs = [path.resolve()]
    else:
        signs = [source.name, Path.cwd(), hashlib.sha256(frame.image.tobytes()).digest()]
    return hashlib.sha256(repr(signs).encode()).hexdigest()[:_DIGITS]
