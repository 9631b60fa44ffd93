"""Protocol of a loop that a service runs; the package that learns offers it as a plug-in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from edgeloop.edge.plugins import call_plugin, load_plugin
from edgeloop.models.errors import UnavailableError

if TYPE_CHECKING:
    from edgeloop.edge.frame import Source
    from edgeloop.edge.result import Sink

__all__ = ["ServedLoop", "open_served_loop"]

_NAME = "loop"


class ServedLoop(Protocol):
    """Loop of `edgeloop teach`: it learns in a process of its own and says which model is to answer."""

    def start(self) -> None:
        """Start to learn."""
        ...

    def model(self) -> Path | None:
        """Model file that is to answer now: the teacher's, then a student's; None before the first."""
        ...

    def sink(self, source: Source) -> Sink:
        """Make the sink that keeps frames of a source to learn from."""
        ...

    def close(self) -> None:
        """End the process; what it has on disk stays."""
        ...


def open_served_loop(folder: Path, tell: Callable[[str], None]) -> ServedLoop:
    """Open a loop.

    Args:
        folder: Folder of the loop.
        tell: Called with lines for the log.

    Raises:
        UnavailableError: Nothing is installed that learns.
        EdgeloopError: The loop cannot be used.
    """
    factory: Any = load_plugin("edgeloop.loops", _NAME)
    if factory is None:
        raise UnavailableError(f"{folder}: learning needs more packages; pip install 'edgeloop[label,serve]'")
    loop: ServedLoop = call_plugin(_NAME, factory, folder, tell)
    return loop
