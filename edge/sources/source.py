"""What every source of frames has in common."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Protocol, Self

from edgeloop.edge.frame import Frame

__all__ = ["DEFAULT_FPS", "Source"]

DEFAULT_FPS = 30.0
"""Frames a second of a source whose own nobody knows."""


class Source(Protocol):
    """Frames, one after the other, until the source ends, fails or is told to stop.

    A context manager, and iterable once. A failure of the source is raised where the frames are consumed,
    also where a thread does the reading.

    Attributes:
        name: The source as a person would call it; passwords in addresses are masked.
        live: True where frames that nobody took in time are gone; False where every frame counts.
        fps: Nominal frames a second, None where nobody knows.
        length: Number of frames to expect, None where nobody knows. Containers only estimate it.
        dropped: Frames so far that a newer one replaced before they were taken. Always 0 where not live.
        stale: Frames so far that were too old when their turn came. Always 0 where not live.
        skipped: Frames so far that were there and could not be read.
    """

    name: str
    live: bool
    fps: float | None
    length: int | None
    dropped: int
    skipped: int
    stale: int = 0

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames in order."""
        ...

    def stop(self) -> None:
        """End the iteration after the frame in hand. Safe in a signal handler and from any thread."""
        ...

    def close(self) -> None:
        """Stop, and release the device or file."""
        ...

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
