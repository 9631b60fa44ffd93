"""Proposals that a person rejected: final, whatever a later round finds."""

from __future__ import annotations

import os
import threading
from collections import defaultdict
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Len
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from edgeloop.edge.host.durable_file import append_to_file
from edgeloop.labeling.studio.exemplar_file import ClassName
from edgeloop.models.errors import DataError, describe_damage

__all__ = ["MAX_BOXES", "RejectedBox", "Rejections"]

MAX_BOXES = 2000
"""Boxes of one request."""


class RejectedBox(BaseModel):
    """Box of a class that is not there."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    xyxy: tuple[float, float, float, float]
    name: ClassName


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    frame: str
    does: Literal["reject", "restore"]
    boxes: Annotated[tuple[RejectedBox, ...], Len(1, MAX_BOXES)]


class _Rename(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    name: ClassName
    to: ClassName


_LINES: TypeAdapter[_Line | _Rename] = TypeAdapter(_Line | _Rename)


class Rejections:
    """Rejected boxes of all frames, each change a line of a file that only grows."""

    def __init__(self, path: Path) -> None:
        """Read the file if it is there; an incomplete last line of a killed process is cut off.

        Raises:
            DataError: A line is malformed.
        """
        self._path = path
        self._lock = threading.Lock()
        self._boxes: dict[str, set[RejectedBox]] = defaultdict(set)
        if path.is_file():
            data = path.read_bytes()
            whole = data[: data.rfind(b"\n") + 1]
            if len(whole) < len(data):
                os.truncate(path, len(whole))
            for number, line in enumerate(whole.splitlines(), start=1):
                try:
                    self._apply(_LINES.validate_json(line))
                except ValidationError as error:
                    fault = describe_damage(path, error, line=number)
                    raise DataError(f"{fault}; correct or remove this line") from error

    def of(self, frame: str) -> frozenset[RejectedBox]:
        """Rejected boxes of a frame."""
        with self._lock:
            return frozenset(self._boxes.get(frame, ()))

    def reject(self, frame: str, boxes: tuple[RejectedBox, ...]) -> None:
        """Reject boxes; this is saved when it returns.

        Raises:
            UnavailableError: The file cannot be written.
        """
        self._write(_Line(frame=frame, does="reject", boxes=boxes))

    def restore(self, frame: str, boxes: tuple[RejectedBox, ...]) -> None:
        """Take back the rejection of boxes; see `reject`."""
        self._write(_Line(frame=frame, does="restore", boxes=boxes))

    def rename(self, name: str, to: str) -> None:
        """Follow a class that got another name."""
        if any(box.name == name for boxes in self._boxes.values() for box in boxes):
            self._write(_Rename(name=name, to=to))

    def _write(self, line: _Line | _Rename) -> None:
        with self._lock:
            append_to_file(self._path, line.model_dump_json().encode() + b"\n")
            self._apply(line)

    def _apply(self, line: _Line | _Rename) -> None:
        if isinstance(line, _Rename):
            for frame, boxes in self._boxes.items():
                self._boxes[frame] = {
                    box.model_copy(update={"name": line.to}) if box.name == line.name else box
                    for box in boxes
                }
            return
        own = self._boxes[line.frame]
        if line.does == "reject":
            own.update(line.boxes)
        else:
            own.difference_update(line.boxes)
