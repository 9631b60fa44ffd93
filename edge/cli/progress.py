"""Progress bars on stderr, so that stdout stays with the results.

On a terminal the bar is live; in a file or a CI log it is one line at the end. `progress_events` has it for
programs.
"""

from __future__ import annotations

import io
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import TypeVar

import click
from tqdm import tqdm

from edgeloop.edge.cli.progress_events import ProgressEvents

__all__ = ["progress", "progress_bar"]

T = TypeVar("T")

_BAR = "{desc} {bar:32} {n_fmt}/{total_fmt} {rate_fmt} {elapsed}<{remaining}"
_COUNT = "{desc} {n_fmt} {rate_fmt} {elapsed}"


def progress(items: Iterable[T], description: str) -> Iterator[T]:
    """Yield `items` and show a progress bar, with the time left if `items` has a length.

    Args:
        items: Items to yield.
        description: Label of the bar, e.g. "Labeling".

    Yields:
        Each item in turn; the bar advances when the next one is requested.
    """
    total = len(items) if isinstance(items, Sized) else None
    with progress_bar(total, description) as advance:
        for item in items:
            yield item
            advance(1)


@contextmanager
def progress_bar(
    total: int | None, description: str, *, in_bytes: bool = False, initial: int = 0
) -> Iterator[Callable[[int], None]]:
    """Show a progress bar with the rate and the time left, for work that is not an iterable.

    Args:
        total: Number of steps; None if unknown. Without it, or of 0, steps are counted without a bar.
        description: Label of the bar, e.g. "Training".
        in_bytes: Steps are bytes, shown as MB.
        initial: Steps that were done earlier; they do not count for the rate.

    Yields:
        A function to call with the number of steps done since the last call.
    """
    live = sys.stderr.isatty()
    columns, rows = shutil.get_terminal_size()  # tqdm takes the unknown size of a serial console for 0
    bar = tqdm(
        total=total,
        initial=initial,
        desc=f"{description:<12}",
        bar_format=_BAR if total else _COUNT,
        unit="B" if in_bytes else "",
        unit_scale=in_bytes,
        file=sys.stderr if live else io.StringIO(),
        ncols=columns if live else None,
        nrows=rows,
    )

    events = ProgressEvents(total, description, initial)

    def advance(steps: int) -> None:
        bar.update(steps)
        events.tell(int(bar.n))

    try:
        yield advance
    finally:
        bar.close()
        events.tell(int(bar.n), last=True)
        nothing_done = not bar.n and (not total or sys.exc_info()[0] is not None)
        if not live and not nothing_done:
            click.echo(str(bar), err=True)
