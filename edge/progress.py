"""Progress bars on stderr, so that stdout stays with the results.

On a terminal the bar is live; into a file or a CI log it becomes one closing line.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import click

__all__ = ["progress", "progress_bar"]

T = TypeVar("T")

BAR_WIDTH = 32
PERIOD_S = 0.1
"""A terminal is written to no more often."""

WINDOW_S = 30.0
"""The rate looks back so far, and never to before the first step, which may be all that was done earlier."""


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
    bar = _Bar(total, description, in_bytes)
    try:
        yield bar.advance
    finally:
        bar.close()


class _Bar:
    """One line: what is done of how much, how fast, for how long, and how long it will take."""

    def __init__(self, total: int | None, description: str, in_bytes: bool) -> None:
        self._total = total
        self._label = f"{description:<12} "
        self._unit, self._scale, self._decimals = (" MB", 1e6, 1) if in_bytes else ("", 1.0, 0)
        self._live = sys.stderr.isatty()
        self._done = 0
        self._began_at = time.monotonic()
        self._said: deque[tuple[float, int]] = deque()
        if self._live:
            self._say(self._began_at, None)

    def advance(self, steps: int) -> None:
        self._done += steps
        now = time.monotonic()
        if not self._live or (self._said and now - self._said[-1][0] < PERIOD_S):
            return
        self._said.append((now, self._done))
        while now - self._said[0][0] > WINDOW_S and len(self._said) > 2:
            self._said.popleft()
        began_at, done = self._said[0]
        self._say(now, (self._done - done) / (now - began_at) if now > began_at else None)

    def close(self) -> None:
        now = time.monotonic()
        self._say(now, self._done / max(now - self._began_at, 1e-6))
        click.echo(err=True)

    def _say(self, now: float, rate: float | None) -> None:
        figures = self._figures(now - self._began_at, rate)
        line = f"{self._label}{self._bar(len(self._label) + len(figures))}{figures}"
        click.echo(f"\r\x1b[K{line}" if self._live else line, err=True, nl=False)

    def _figures(self, seconds: float, rate: float | None) -> str:
        of = "" if self._total is None else f"/{self._count(self._total)}"
        figures = [f"{self._count(self._done)}{of}{self._unit}"]
        if rate is not None:
            figures.append(f"{rate / self._scale:.1f}{self._unit}/s")
        figures.append(_clock(seconds))
        if rate and self._total is not None:
            figures.append(_clock((self._total - self._done) / rate))
        return " ".join(figures)

    def _count(self, steps: int) -> str:
        return f"{steps / self._scale:.{self._decimals}f}"

    def _bar(self, beside: int) -> str:
        """The bar and a space, as far as a line of the terminal has room for them."""
        if not self._total:
            return ""
        room = shutil.get_terminal_size().columns - beside - 2 if self._live else BAR_WIDTH
        width = max(min(BAR_WIDTH, room), 0)
        full = round(width * min(self._done / self._total, 1.0))
        done, rest = ("━", "─") if (sys.stderr.encoding or "").lower().startswith("utf") else ("#", "-")
        return f"{click.style(done * full, fg='green')}{click.style(rest * (width - full), dim=True)} "


def _clock(seconds: float) -> str:
    """Whole seconds as 0:01:05."""
    return str(timedelta(seconds=round(max(seconds, 0.0))))
