"""Images of a ring as a store of frames: those that it holds, and earlier copies of those that it evicted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgeloop.edge.frames.folder import FrameEntry
from edgeloop.labeling.frames.frame_store import FolderStore

__all__ = ["RingFrames"]


@dataclass(frozen=True, slots=True)
class RingFrames:
    """See `FrameStore`.

    Attributes:
        images: Images of the ring; a device may remove some at any time.
        copies: Copies that were made of some.
        listed: The frames.
    """

    images: FolderStore
    copies: FolderStore
    listed: tuple[FrameEntry, ...]

    @classmethod
    def of(cls, images: Path, copies: Path, listed: tuple[FrameEntry, ...]) -> RingFrames:
        """Open the folders."""
        return cls(FolderStore(images.absolute()), FolderStore(copies.absolute()), listed)

    def __str__(self) -> str:
        """See `FrameStore.__str__`."""
        return str(self.images)

    def entries(self) -> tuple[FrameEntry, ...]:
        """See `FrameStore.entries`."""
        return self.listed

    def read(self, file: str) -> bytes:
        """See `FrameStore.read`."""
        try:
            return self.images.read(file)
        except FileNotFoundError:
            return self.copies.read(file)

    def stamp(self, file: str) -> str:
        """See `FrameStore.stamp`."""
        return self.images.stamp(file) or self.copies.stamp(file)
