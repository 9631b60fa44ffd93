"""What everything that results go to has in common."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from edgeloop.edge.loop.pipeline import Result

__all__ = ["Sink"]


class Sink(Protocol):
    """Takes results in order. A context manager: leaving it finishes what was begun, also after an error."""

    def write(self, result: Result) -> None:
        """Act on one result."""
        ...

    def close(self) -> None:
        """Finish; the sink is not written to afterwards."""
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
