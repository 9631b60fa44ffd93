"""Base of the sources of which every frame counts."""

from __future__ import annotations

from edgeloop.edge.frame import Source

__all__ = ["Footage"]


class Footage(Source):
    """A source that is read as it is asked, and ends early only if it is told to stop."""

    live = False
    fps: float | None = None
    length: int | None = None
    dropped = skipped = 0
    _stopped = False

    def stop(self) -> None:
        """End the iteration after the frame in hand."""
        self._stopped = True
