"""Files of events: names, contents, and the list of the newest."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from edgeloop.edge.service.service_part import ServiceEvent

__all__ = ["CLIP_SUFFIXES", "OWN_NAME", "event_name", "list_events"]

CLIP_SUFFIXES = (".mp4", ".mkv")
"""Suffixes of clips: H.264 and H.265 in MP4, JPEG in Matroska."""

OWN_NAME = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9]{3}_[\w-]+\.(?:jpg|json|mp4|mkv)")
"""Names of whole files of events and clips."""


@dataclass(frozen=True, slots=True)
class SavedEvent:
    """Event as it was saved.

    Attributes:
        values: Its JSON: that of `ServiceEvent`, with `picture`, `clip`, `clip_from` and `clip_to`.
        file: The JSON file.
        picture: JPEG of the frame with the box; None if it is not there.
        clip: Clip, shared with other events; None if there is none, or it is not whole yet.
    """

    values: dict[str, Any]
    file: Path
    picture: Path | None
    clip: Path | None


def event_name(event: ServiceEvent) -> str:
    """Name of the files of an event, without a suffix: sorts by time in UTC, then by camera."""
    moment = datetime.fromtimestamp(event.wall_time, UTC)
    time = f"{moment:%Y%m%d-%H%M%S}-{moment.microsecond // 1000:03d}"
    return f"{time}_{event.camera}_{event.kind}_{event.id.rpartition('-')[2]}"


def list_events(folder: Path, limit: int) -> list[SavedEvent]:
    """List the newest events of a folder of clips, the newest first.

    Args:
        folder: Folder of the clips; it need not exist.
        limit: Maximum number of events.

    Returns:
        The events. One that is deleted meanwhile is left out.
    """
    try:
        names = [path.name for path in folder.iterdir() if OWN_NAME.fullmatch(path.name)]
    except OSError:
        return []
    events: list[SavedEvent] = []
    for name in sorted((name for name in names if name.endswith(".json")), reverse=True):
        if len(events) >= limit:
            break
        if (event := _read_event(folder / name)) is not None:
            events.append(event)
    return events


def _read_event(file: Path) -> SavedEvent | None:
    try:
        values = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return None
    if not isinstance(values, dict):
        return None
    return SavedEvent(
        values, file, _own_file(file, values.get("picture")), _own_file(file, values.get("clip"))
    )


def _own_file(file: Path, name: object) -> Path | None:
    """File of the same folder; None if it is not there, or the name is none of ours."""
    if not isinstance(name, str) or not OWN_NAME.fullmatch(name):
        return None
    path = file.with_name(name)
    return path if path.is_file() else None
