"""More time to start than `TimeoutStartSec=`: at its first start, TensorRT builds an engine for minutes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from edgeloop.edge.service.systemd.notify import notify

__all__ = ["longer_start"]

_EXTENSION_US = 60_000_000
"""Microseconds from now on that systemd is asked to wait."""

_ASK_S = 10.0


@contextmanager
def longer_start() -> Iterator[None]:
    """Ask systemd for more time, again and again, while the models load."""
    over = threading.Event()
    thread = threading.Thread(target=_ask, args=(over,), name="longer start", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _ask(over: threading.Event) -> None:
    while notify(f"EXTEND_TIMEOUT_USEC={_EXTENSION_US}") and not over.wait(_ASK_S):
        pass
