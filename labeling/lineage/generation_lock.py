"""Lock of a loop while a generation is made, or put into use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from edgeloop.edge.host.durable_file import make_folder
from edgeloop.edge.host.folder_lock import locked_folder
from edgeloop.labeling.lineage.loop_folder import LoopFolder

__all__ = ["generation_lock"]


@contextmanager
def generation_lock(loop: LoopFolder) -> Iterator[None]:
    """Hold the lock by which one process at a time makes a generation.

    Raises:
        DataError: Another process holds it.
    """
    folder = loop.root / "generations"
    make_folder(folder)
    with locked_folder(folder, f"{loop.root}: another process makes a generation of this loop; wait for it"):
        _complete_promotion(loop)
        yield


def _complete_promotion(loop: LoopFolder) -> None:
    """Promote the last generation that was to be, if its process was killed between record and promotion."""
    current = loop.current()
    last = max((each.number for each in loop.generations() if each.verdict == "promoted"), default=0)
    if last > (0 if current is None else current.number):
        loop.promote(last)
