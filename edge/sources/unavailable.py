"""Stand-in for a source that could not be opened, among others that could."""

from __future__ import annotations

from collections.abc import Iterator

from edgeloop.edge.frame import Frame
from edgeloop.edge.sources.footage import Footage
from edgeloop.models.errors import UnavailableError

__all__ = ["UnavailableSource"]


class UnavailableSource(Footage):
    """Source without frames: it fails when it is read, so that the others of a run can begin without it."""

    def __init__(self, name: str, error: UnavailableError) -> None:
        """Keep the failure for later.

        Args:
            name: Name of the source.
            error: Why it could not be opened.
        """
        self.name = name
        self._error = error

    def __iter__(self) -> Iterator[Frame]:
        raise self._error
