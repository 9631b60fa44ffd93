"""Progress bars on stderr, so that stdout stays with the results.

On a terminal the bar is live; into a file or a CI log it becomes one closing line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.text import Text

__all__ = ["progress", "progress_bar"]

T = TypeVar("T")


def progress(items: Iterable[T], description: str) -> Iterator[T]:
    """Yield `items` behind a bar; its length is `len(items)` where they have one.

    Args:
        items: What to go through.
        description: What is being done, e.g. "Labelling".

    Yields:
        Each item in turn; the bar moves on when the next one is asked for.
    """
    total = len(items) if isinstance(items, Sized) else None
    with progress_bar(total, description) as advance:
        for item in items:
            yield item
            advance(1)


@contextmanager
def progress_bar(
    total: int | None, description: str, *, in_bytes: bool = False
) -> Iterator[Callable[[int], None]]:
    """A bar that is moved by hand, for work that is not an iterable; it shows the rate and the time left.

    Args:
        total: Number of steps; None where nobody knows.
        description: What is being done, e.g. "Training".
        in_bytes: Steps are bytes, to be shown as kB, MB or GB.

    Yields:
        advance: call it with the number of steps done since the last call.
    """
    columns = (
        TextColumn("{task.description:<12}"),
        BarColumn(bar_width=32),
        DownloadColumn() if in_bytes else MofNCompleteColumn(),
        TransferSpeedColumn() if in_bytes else _RateColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(description, total=total)
        yield lambda steps: bar.advance(task, steps)


class _RateColumn(ProgressColumn):
    """Steps a second; when all is done, over the whole time."""

    def render(self, task: Task) -> Text:
        rate = task.finished_speed or task.speed
        return Text("" if rate is None else f"{rate:.1f}/s", style="progress.data.speed")
