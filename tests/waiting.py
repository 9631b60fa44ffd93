"""Waiting for what happens in other threads and processes."""

from __future__ import annotations

import time
from collections.abc import Callable


def until(holds: Callable[[], object], seconds: float = 20) -> None:
    """Wait until something holds.

    Raises:
        AssertionError: It still does not.
    """
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)
