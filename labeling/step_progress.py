"""Progress of long steps, as a caller may show it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

__all__ = ["Progress", "no_progress"]


class Progress(Protocol):
    """Opens a progress bar; `edgeloop.edge.cli.progress.progress_bar` is one."""

    def __call__(
        self, total: int | None, description: str, /, *, in_bytes: bool = False
    ) -> AbstractContextManager[Callable[[int], None]]:
        """Open a bar.

        Args:
            total: Number of steps; None if unknown.
            description: Name of the work, such as "Labeling".
            in_bytes: True if steps are bytes.

        Returns:
            A context that gives a function to call with the number of steps done since the last call.
        """
        ...


def no_progress(
    _total: int | None, _description: str, /, *, in_bytes: bool = False
) -> AbstractContextManager[Callable[[int], None]]:
    """Show nothing."""
    del in_bytes
    return nullcontext(lambda _: None)
