"""Folder of frames for `label`: images, and one line about each in frames.jsonl."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Self, TextIO

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from edgeloop.edge.frame import Frame, Source
from edgeloop.edge.frames.recording_key import recording_key
from edgeloop.edge.host.file_names import printable_name
from edgeloop.edge.host.opencv import encode_image, write_bytes
from edgeloop.edge.labels.label_lines import decode_text
from edgeloop.edge.sources.images import is_image, natural_key, warn_of_unread
from edgeloop.models.errors import DataError, NoInputError, UnavailableError, describe_damage

__all__ = ["FRAME_LIST", "FrameEntry", "FrameWriter", "SourceClock", "list_frames", "read_frames"]

log = logging.getLogger(__name__)

FRAME_LIST = "frames.jsonl"
"""Name of the list of the frames of a folder."""


@dataclass(frozen=True, slots=True)
class FrameEntry:
    """One line of frames.jsonl.

    Attributes:
        file: Name of the image in the folder.
        source: Name of its source.
        index: Position in that source, from 0.
        time_s: Time in seconds from the start of that source; None if unknown.
        wall_time: Unix time in seconds of its arrival from a live source; None if unknown.
    """

    file: str
    source: str
    index: int
    time_s: float | None = None
    wall_time: float | None = None

    @property
    def name(self) -> str:
        """`file` as datasets name it: in UTF-8 whatever its bytes."""
        return printable_name(self.file)


_LINE = TypeAdapter(FrameEntry)


class FrameWriter:
    """Adds frames to a folder one by one; each is on disk, with its line, before the next.

    Attributes:
        folder: The folder.
        written: Number of frames added.
    """

    def __init__(self, folder: Path, *, append: bool = False) -> None:
        """Open the folder.

        Args:
            folder: Created if it is missing.
            append: Accept a folder of frames with their frames.jsonl, and add to them.

        Raises:
            DataError: The folder holds something else, or is no folder.
            UnavailableError: The folder cannot be created.
        """
        path = folder / FRAME_LIST
        resumes = append and path.is_file()
        self._created = not folder.exists()
        if not self._created and not resumes and (not folder.is_dir() or any(folder.iterdir())):
            raise DataError(f"{folder}: expected a new or empty folder for the frames; name another")
        self._taken = (
            {Path(entry.file).stem for entry in _listed(path.read_bytes(), str(path))} if resumes else set()
        )
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if resumes:
                _drop_incomplete_line(path)
            self._list: TextIO = path.open("a", encoding="utf-8")
        except OSError as error:
            raise UnavailableError(
                f"{folder}: no frames can be written there ({error.strerror}); name another folder"
            ) from error
        self.folder = folder
        self.written = 0

    def add(self, image: NDArray[np.uint8], entry: FrameEntry) -> None:
        """Write an image, then its line: a line never names an image that is not whole.

        Args:
            image: HxWx3 uint8, BGR.
            entry: Line about it. If its file name is taken by another image, a number is added; if by the
                same, nothing is written.

        Raises:
            UnavailableError: The image cannot be written.
        """
        self.add_encoded(encode_image(".jpg", image), entry)

    def add_encoded(self, data: bytes, entry: FrameEntry) -> None:
        """Add an encoded image as of `add`, in the format of the entry's file name."""
        for number in count(1):
            name = Path(entry.file)
            path = self.folder / (name.name if number == 1 else f"{name.stem}-{number}{name.suffix}")
            if path.stem not in self._taken:
                break
            if path.is_file() and path.read_bytes() == data:
                return
        write_bytes(path, data)
        self._list.write(_LINE.dump_json(replace(entry, file=path.name)).decode() + "\n")
        self._list.flush()
        self._taken.add(path.stem)
        self.written += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Close the folder. Without a frame it is left as it was found, for the next try."""
        self._list.close()
        if not self._taken:
            (self.folder / FRAME_LIST).unlink()
            if self._created:
                self.folder.rmdir()


class SourceClock:
    """Time since the first frame of a source: as the frame says, else by arrival or nominal rate."""

    def __init__(self, source: Source) -> None:
        """Start with the next frame of a source."""
        self._source = source
        self._began_at: float | None = None
        self._key: str | None = None

    def time_s(self, frame: Frame) -> float:
        """Time of the next frame in seconds; NaN if unknown, as in a folder of images."""
        if frame.time_s is not None:
            return frame.time_s
        if self._source.live:
            if self._began_at is None:
                self._began_at = frame.captured_at
            return frame.captured_at - self._began_at
        return frame.index / self._source.fps if self._source.fps else math.nan

    def entry(self, frame: Frame, time_s: float) -> FrameEntry:
        """Describe a frame for frames.jsonl.

        Args:
            frame: The frame.
            time_s: Its time as `time_s` told it.

        Returns:
            The entry, with a file name that no other recording has, so that folders can be put together.
        """
        source = self._source
        self._key = self._key or recording_key(source, frame)
        return FrameEntry(
            file=f"{_stem(source.name)}-{self._key}_{frame.index:06d}.jpg",
            source=source.name,
            index=frame.index,
            time_s=None if math.isnan(time_s) else round(time_s, 4),
            wall_time=round(frame.wall_time, 3) if source.live else None,
        )


def _stem(name: str) -> str:
    """Part of a source's name that a person knows it by: of a path the last, of an address all of it."""
    place = name.partition("://")[2]
    if not place:
        place = name.partition("?")[0].partition(":")[2] if name.startswith("synth:") else Path(name).stem
    return re.sub(r"[^a-z0-9]+", "-", place.lower()).strip("-")[:32] or "frame"


def read_frames(folder: Path) -> tuple[FrameEntry, ...]:
    """List the frames of a folder in the order in which they were taken.

    Args:
        folder: Frames that `collect` wrote, or any folder of images, in natural order (2.jpg before 10.jpg)
            and without times.

    Returns:
        At least one entry. Images are not opened yet.

    Raises:
        NoInputError: There is no such folder, or no frame in it.
        DataError: frames.jsonl is malformed, or two frames have the same name.
    """
    if not folder.is_dir():
        raise NoInputError(f"{folder}: no such folder; expected frames as `edgeloop collect` writes them")
    warn_of_unread(folder)
    listed = folder / FRAME_LIST
    lines = listed.read_bytes() if listed.is_file() else None
    return list_frames(str(folder), [path.name for path in folder.iterdir()], lines)


def list_frames(place: str, names: Collection[str], lines: bytes | None) -> tuple[FrameEntry, ...]:
    """List the frames of a place as of `read_frames`.

    Args:
        place: Folder or address as messages and `FrameEntry.source` name it, without secrets.
        names: Names of its files, in any order.
        lines: Content of its frames.jsonl; None if there is none.
    """
    images = [name for name in names if is_image(Path(name))]
    if lines is None:
        images.sort(key=lambda name: natural_key(Path(name)))
        source = printable_name(place)
        entries = tuple(FrameEntry(name, source=source, index=index) for index, name in enumerate(images))
    else:
        entries = tuple(_listed(lines, f"{place}/{FRAME_LIST}"))
        if entries:
            _warn_of_unlisted(place, sorted({*images}.difference(entry.file for entry in entries)))
    if not entries:
        raise NoInputError(f"{place}: there is no frame in it; expected images, or {FRAME_LIST} beside them")
    stems: dict[str, str] = {}  # a label file is named like its image, whatever the image's suffix
    for entry in entries:
        stem = Path(entry.name).stem
        if stem in stems:
            raise DataError(
                f"{place}: {stems[stem]} and {entry.file} would share one label file; "
                "give every frame a name of its own"
            )
        stems[stem] = entry.file
    return entries


def _drop_incomplete_line(path: Path) -> None:
    """Cut off the incomplete line of a killed writer."""
    with path.open("rb+") as file:
        file.truncate(file.read().rfind(b"\n") + 1)


def _listed(data: bytes, name: str) -> Iterator[FrameEntry]:
    """Entries of the complete lines; after the last newline is at most the rest of a killed writer's line."""
    lines = decode_text(data[: data.rfind(b"\n") + 1], name).split("\n")[:-1]
    for number, line in enumerate(lines, start=1):
        try:
            entry = _LINE.validate_json(line)
        except ValidationError as error:
            fault = describe_damage(name, error, line=number)
            raise DataError(f"{fault}; correct or remove this line") from error
        if Path(entry.file).name != entry.file or "\0" in entry.file:
            raise DataError(f"{name}:{number}: file must be a name in this folder, got {entry.file!r}")
        yield entry


def _warn_of_unlisted(place: str, names: Sequence[str]) -> None:
    if names:
        log.warning(
            "%s: %d images are not in %s and are left out, such as %s; of folders put together, join "
            "the lists too (cat A/%s B/%s > ...)",
            place, len(names), FRAME_LIST, names[0], FRAME_LIST, FRAME_LIST,
        )  # fmt: skip
