"""The folder between `collect` and `label`: images, and one line about each in frames.jsonl."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TextIO

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from edge.sources.images import is_image
from models.errors import DataError, EdgeloopError, NoInputError, first_mistake

__all__ = ["FrameEntry", "FrameWriter", "read_frames"]

_LIST = "frames.jsonl"
_JPEG_QUALITY = 95


@dataclass(frozen=True, slots=True)
class FrameEntry:
    """One line of frames.jsonl; all lines are held in memory, so it is small.

    Attributes:
        file: Name of the image in the folder.
        source: Where it came from, as a person would call it.
        index: Place in that source, 0 for its first frame.
        time_s: Time in that source, seconds from its start; None where nobody knows.
        wall_time: When a live source delivered it, unix seconds; None where nobody knows.
    """

    file: str
    source: str
    index: int
    time_s: float | None = None
    wall_time: float | None = None


_LINE = TypeAdapter(FrameEntry)


class FrameWriter:
    """Adds frames to a folder one by one; what has been added survives whatever happens next."""

    def __init__(self, folder: Path) -> None:
        """Args:
            folder: Created where it is missing; has to be empty.

        Raises:
            DataError: It holds something, or is no folder.
            EdgeloopError: It cannot be created.
        """
        self._created = not folder.exists()
        if not self._created and (not folder.is_dir() or any(folder.iterdir())):
            raise DataError(f"{folder}: expected a new or empty folder for the frames; name another with -o")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._list: TextIO = (folder / _LIST).open("a", encoding="utf-8")
        except OSError as error:
            raise EdgeloopError(
                f"{folder}: no frames can be written there ({error.strerror}); name another folder with -o"
            ) from error
        self.folder = folder
        self._empty = True

    def add(self, image: NDArray[np.uint8], entry: FrameEntry) -> None:
        """Write an image, then its line: a line never names an image that is not whole.

        Args:
            image: HxWx3 uint8 BGR.
            entry: What to write about it.
        """
        path = self.folder / entry.file
        if not cv2.imwrite(str(path), image, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]):
            raise EdgeloopError(f"{path}: cannot be written; is the disk full?")
        self._list.write(_LINE.dump_json(entry).decode() + "\n")
        self._list.flush()
        self._empty = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Without a frame the folder is left as it was found, for the next try."""
        self._list.close()
        if self._empty:
            (self.folder / _LIST).unlink()
            if self._created:
                self.folder.rmdir()


def read_frames(folder: Path) -> tuple[FrameEntry, ...]:
    """List the frames of a folder in the order in which they were taken.

    Args:
        folder: What `collect` wrote, or any folder of images; those come in natural order (2.jpg before
            10.jpg), without times.

    Returns:
        At least one entry. Images are not opened yet.

    Raises:
        NoInputError: There is no such folder, or no frame in it.
        DataError: frames.jsonl is malformed, or two frames have the same name.
    """
    if not folder.is_dir():
        raise NoInputError(f"{folder}: no such folder; expected frames as `edgeloop collect` writes them")
    listed = folder / _LIST
    entries = tuple(_listed(listed) if listed.is_file() else _unlisted(folder))
    if not entries:
        raise NoInputError(f"{folder}: there is no frame in it; expected images, or {_LIST} beside them")
    stems: dict[str, str] = {}  # a label file is named like its image, whatever the image's suffix
    for entry in entries:
        stem = Path(entry.file).stem
        if stem in stems:
            raise DataError(
                f"{folder}: {stems[stem]} and {entry.file} would share one label file; "
                "give every frame a name of its own"
            )
        stems[stem] = entry.file
    return entries


def _listed(path: Path) -> Iterator[FrameEntry]:
    # What follows the last newline is a line that was being written when collect was killed.
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n")[:-1], start=1):
        try:
            entry = _LINE.validate_json(line)
        except ValidationError as error:
            raise DataError(f"{path}:{number}: {first_mistake(error, 'line')}") from error
        if Path(entry.file).name != entry.file:
            raise DataError(f"{path}:{number}: file must be a name in this folder, got {entry.file!r}")
        yield entry


def _unlisted(folder: Path) -> Iterator[FrameEntry]:
    names = sorted((path.name for path in folder.iterdir() if is_image(path)), key=_natural)
    return (FrameEntry(file=name, source=str(folder), index=i) for i, name in enumerate(names))


def _natural(name: str) -> list[tuple[int, str]]:
    """Sort key under which numbers count as numbers."""
    parts = re.split(r"(\d+)", name.lower())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]
