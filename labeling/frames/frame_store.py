"""Places that frames are read from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edgeloop.edge.frames.folder import FrameEntry, read_frames

__all__ = ["FolderStore", "FrameStore", "image_digest"]


class FrameStore(Protocol):
    """Place of frames; pickles, so that workers read from it too."""

    def __str__(self) -> str:
        """Name for messages, without secrets."""
        ...

    def entries(self) -> tuple[FrameEntry, ...]:
        """List the frames as `read_frames` does."""
        ...

    def read(self, file: str) -> bytes:
        """Read the encoded image that `FrameEntry.file` names.

        Raises:
            OSError: It cannot be read.
        """
        ...

    def stamp(self, file: str) -> str:
        """Mark of an image that changes with it, such as size and time; "" if there is no image."""
        ...


@dataclass(frozen=True, slots=True)
class FolderStore:
    """Folder of this machine, or one that all machines share.

    Attributes:
        folder: The folder.
    """

    folder: Path

    def __reduce__(self) -> tuple[type[FolderStore], tuple[Path]]:
        """Pickle the absolute path: a worker may have another current folder."""
        return FolderStore, (self.folder.absolute(),)

    def __str__(self) -> str:
        """See `FrameStore.__str__`."""
        return str(self.folder)

    def entries(self) -> tuple[FrameEntry, ...]:
        """See `FrameStore.entries`."""
        return read_frames(self.folder)

    def read(self, file: str) -> bytes:
        """See `FrameStore.read`."""
        return (self.folder / file).read_bytes()

    def stamp(self, file: str) -> str:
        """See `FrameStore.stamp`: size in bytes, and time of the last change in ns."""
        try:
            status = (self.folder / file).stat()
        except OSError:
            return ""
        return f"{status.st_size}-{status.st_mtime_ns}"


def image_digest(store: FrameStore, file: str) -> str:
    """Digest of the encoded image that `FrameEntry.file` names: sha256, hexadecimal.

    Raises:
        OSError: It cannot be read.
    """
    return hashlib.sha256(store.read(file)).hexdigest()
