"""Notice on stderr while TensorRT builds an engine, with the seconds that it has taken."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["build_notice"]

_LIVE_S, _LOG_S = 1.0, 30.0


@contextmanager
def build_notice(name: str, how_often: str, *, every_s: float | None = None) -> Iterator[None]:
    """Say that an engine is being built, as long as the block runs.

    Args:
        name: Name of the model.
        how_often: How long it takes and how often, in words.
        every_s: Seconds between two notices; None for 1 on a terminal, where one replaces the other, and 30
            elsewhere.
    """
    live = sys.stderr.isatty()
    pause_s = every_s or (_LIVE_S if live else _LOG_S)
    text = f"building the TensorRT engine for {name} ({how_often})"
    began, ended = time.monotonic(), threading.Event()

    def say(end: str, said: str) -> None:
        line = f"{text}: {said}{time.monotonic() - began:.0f} s"
        print(f"\r{line}" if live else line, end=end, file=sys.stderr, flush=True)

    def repeat() -> None:
        while not ended.wait(pause_s):
            say("" if live else "\n", "")

    say("" if live else "\n", "")
    teller = threading.Thread(target=repeat, name="build notice", daemon=True)
    teller.start()
    said = "failed after "
    try:
        yield
        said = "done in "
    finally:
        ended.set()
        teller.join()
        say("\n", said)
