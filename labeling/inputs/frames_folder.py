"""Folder of frames that exemplars are matched with: a real one, or one whose images are fetched on demand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, overload

__all__ = ["FramesFolder", "RemoteFolder", "frame_path", "frame_paths", "local_folder"]


class RemoteFolder(Protocol):
    """Folder in another place; `str` names it for messages."""

    @property
    def folder(self) -> Path:
        """Folder of the images that are here already."""
        ...

    def names(self) -> Iterable[str]:
        """List the images by name."""
        ...

    def path(self, name: str) -> Path:
        """Fetch an image: its path in `folder`, where there is no file if it cannot be read.

        Raises:
            UnavailableError: The place does not answer.
        """
        ...


FramesFolder = Path | RemoteFolder


def local_folder(frames: FramesFolder) -> Path:
    """Folder of this machine that images of the frames are in."""
    return frames if isinstance(frames, Path) else frames.folder


def frame_path(frames: FramesFolder, name: str) -> Path:
    """Path of an image, which is fetched if it is in another place."""
    return frames / name if isinstance(frames, Path) else frames.path(name)


def frame_paths(frames: FramesFolder, names: Sequence[str]) -> Sequence[Path]:
    """Paths of images; those in another place are fetched when they are asked for."""
    return [frames / name for name in names] if isinstance(frames, Path) else _Fetched(frames, names)


@dataclass(frozen=True, slots=True)
class _Fetched(Sequence[Path]):
    frames: RemoteFolder
    names: Sequence[str]

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, row: int) -> Path: ...
    @overload
    def __getitem__(self, row: slice) -> Sequence[Path]: ...
    def __getitem__(self, row: int | slice) -> Path | Sequence[Path]:
        if isinstance(row, slice):
            return _Fetched(self.frames, self.names[row])
        return self.frames.path(self.names[row])
