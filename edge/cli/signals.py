"""What a run asks of its own process: to load without delay, and to end in good order."""

from __future__ import annotations

import atexit
import gc
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["stopped_by_signals", "uncollected"]


@contextmanager
def uncollected() -> Iterator[None]:
    """Load without looking for garbage, a tenth of the time; what was loaded is not looked at again."""
    gc.disable()
    atexit.register(gc.unfreeze)
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


@contextmanager
def stopped_by_signals(stop: Callable[[], None]) -> Iterator[list[int]]:
    """Let SIGINT and SIGTERM end the run in good order; a second one ends it at once.

    Yields:
        The signals that came so far.
    """
    came: list[int] = []

    def handle(number: int, _frame: FrameType | None) -> None:
        if came:
            raise KeyboardInterrupt
        came.append(number)
        stop()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
