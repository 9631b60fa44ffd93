"""One image from a source, and the protocol that sources follow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

__all__ = ["DEFAULT_FPS", "Frame", "Source"]

DEFAULT_FPS = 30.0
"""Frames per second of a source whose own rate is unknown."""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One image as it came from a source.

    Attributes:
        image: HxWx3 uint8, BGR. Shared between all who see the frame: draw on a copy.
        index: Position of the image in its source, from 0. On live sources it counts dropped frames too, so
            a gap in the indices is a drop; on `synth:` sources it is the scene's own index.
        captured_at: Monotonic clock in seconds when the image arrived. Use it to measure.
        wall_time: Unix time in seconds, for labels only: this clock can jump.
        source: Name of the source: a path, an address, a camera or a scene.
        time_s: Time in seconds since the first frame of the source: in the footage by its time stamps, on
            live sources by arrival. None if unknown, as of pictures.
    """

    image: NDArray[np.uint8]
    index: int
    captured_at: float
    wall_time: float
    source: str
    time_s: float | None = None


@runtime_checkable
class Source(Protocol):
    """Frames, one after the other, until the source ends, fails or is told to stop.

    A context manager, and iterable once. A failure of the source is raised where the frames are consumed,
    even if a thread does the reading. Subclasses need `__iter__`, `stop` and the attributes.

    A plug-in offers its sources to every verb as an entry point of the group `edgeloop.sources`: a function
    `(text: str, policy: LivePolicy) -> Source`, named by the scheme of its addresses and called with the
    whole address. A live one must subclass or wrap `edgeloop.edge.sources.live.LiveSource`: any other source
    is read in order, and neither drops frames nor heeds their maximum age.

    Attributes:
        name: Name of the source as a person would give it; secrets of an address are stars
            (`edgeloop.edge.source_name.shown_name`).
        live: True if frames that are not taken in time are lost; False if every frame counts.
        fps: Nominal frames per second; None if unknown.
        length: Expected number of frames; None if unknown. Containers only estimate it.
        dropped: Frames so far that a newer one replaced before they were taken. Always 0 if not live.
        stale: Frames so far that were too old when their turn came. Always 0 if not live.
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
        self.stop()

    def __enter__(self) -> Self:
        """Return the source itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the source."""
        self.close()
