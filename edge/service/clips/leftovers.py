"""Files that a killed process left: clips that can be played are completed, the rest is deleted."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from edgeloop.edge.host.durable_file import replace_file
from edgeloop.edge.service.clips.clip_writer import PARTIAL, clip_seconds
from edgeloop.edge.service.clips.event_files import CLIP_SUFFIXES, OWN_NAME

__all__ = ["clear_leftovers"]


def clear_leftovers(folder: Path) -> int:
    """Complete or delete what is not whole in a folder of clips.

    Returns:
        Number of clips completed.

    Raises:
        OSError: The folder cannot be read or written.
        UnavailableError: The JSON of an event cannot be written.
    """
    completed = 0
    for path in sorted(folder.iterdir()):
        if path.suffix not in (PARTIAL, ".part") or not OWN_NAME.fullmatch(path.stem):
            continue
        clip = path.with_suffix("")
        seconds = clip_seconds(path) if clip.suffix in CLIP_SUFFIXES else None
        if seconds is None or clip.exists():
            path.unlink()
            continue
        path.rename(clip)
        _note_length(clip, seconds)
        completed += 1
    return completed


def _note_length(clip: Path, seconds: float) -> None:
    """Correct in the JSON of its events until when a clip goes."""
    for path in clip.parent.glob("*.json"):
        if path.stem < clip.stem:  # of before it
            continue
        with suppress(ValueError, KeyError, TypeError):
            values = json.loads(path.read_bytes())
            if values["clip"] == clip.name:
                values["clip_to"] = round(values["clip_from"] + seconds, 3)
                replace_file(path, json.dumps(values).encode())
