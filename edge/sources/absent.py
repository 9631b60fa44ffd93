"""A camera that does not answer, in its place among others that do."""

from __future__ import annotations

from collections.abc import Iterator

from edgeloop.edge.frame import Frame, Source
from edgeloop.models.errors import UnavailableError

__all__ = ["AbsentSource"]


class AbsentSource(Source):
    """Fails at its first frame, so that several sources can begin without the one that is away."""

    live = False
    fps = length = None
    dropped = skipped = 0

    def __init__(self, name: str, error: UnavailableError) -> None:
        """Take the place of a source.

        Args:
            name: Of the source.
            error: Why it could not be opened.
        """
        self.name = name
        self._error = error

    def __iter__(self) -> Iterator[Frame]:
        raise self._error

    def stop(self) -> None:
        pass

    def close(self) -> None:
        pass
