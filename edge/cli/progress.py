"""Progress bars on stderr, so that stdout stays with the results.

On a terminal the bar is live; into a file or a CI log it becomes one closing line.
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

__all__ = ["progress", "progress_bar"]

T = TypeVar("T")

_FIGURES = "{n_fmt}/{total_fmt} {rate_fmt} {elapsed}<{remaining}"


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
        in_bytes: Steps are bytes, to be shown as MB.

    Yields:
        advance: call it with the number of steps done since the last call.
    """
    live = sys.stderr.isatty()
    columns, rows = shutil.get_terminal_size()  # of a serial console, whose size nobody knows, tqdm makes 0
    bar = tqdm(
        total=total,
        desc=f"{description:<12}",
        bar_format="{desc} {bar:32} " + _FIGURES if total else "{desc} " + _FIGURES,
        unit="B" if in_bytes else "",
        unit_scale=in_bytes,
        file=sys.stderr if live else io.StringIO(),
        ncols=columns if live else None,
        nrows=rows,
    )

    def advance(steps: int) -> None:
        bar.update(steps)

    try:
        yield advance
    finally:
        bar.close()
        if not live:
            click.echo(str(bar), err=True)
