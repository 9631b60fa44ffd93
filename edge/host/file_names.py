"""File names as text."""

from __future__ import annotations

import os
import re
from pathlib import Path

__all__ = ["printable_name"]


def printable_name(path: str | Path) -> str:
    """Name of a file as UTF-8 text, for people, JSON and new file names; other bytes are written as %E9."""
    return re.sub("[\udc80-\udcff]", lambda found: f"%{os.fsencode(found[0])[0]:02X}", str(path))
