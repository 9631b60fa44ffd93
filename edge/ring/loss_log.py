"""Log of what a ring loses: a line when it begins and one when it is over, at most once a minute."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

__all__ = ["PAUSE_S", "LossLog"]

log = logging.getLogger(__name__)

PAUSE_S = 60.0
"""Shortest time in seconds from one loss that is said to the next."""

_LOST = {"event": "ring-lost", "part": "ring"}
_BACK = {"event": "ring-back", "part": "ring"}


class LossLog:
    """Says losses and their ends. For any thread.

    A fast detector on pictures outruns the disk many times a second: losses within a minute of one that was
    said are counted, and the next line has their number.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start without a loss; `clock` gives seconds."""
        self._clock, self._lock = clock, threading.Lock()
        self._places: set[str] = set()
        self._is_said, self._due_at, self._unsaid = False, float("-inf"), 0

    def lost(self, place: str, reason: str) -> None:
        """Note that something was not written; `written` ends it for its place."""
        with self._lock:
            self._places.add(place)
            if self._is_said or self._clock() < self._due_at:
                self._unsaid += 1
                return
            self._is_said, self._due_at = True, self._clock() + PAUSE_S
            log.warning("ring: not written: %s%s", reason, self._others(), extra=_LOST)

    def written(self, *places: str) -> None:
        """Note that something was written at some places."""
        if not self._places:
            return
        with self._lock:
            self._places.difference_update(places)
            if self._is_said and not self._places:
                self._is_said = False
                log.warning("ring: written again%s", self._others(), extra=_BACK)

    def _others(self) -> str:
        """Tell how many losses no line has told of."""
        count, self._unsaid = self._unsaid, 0
        return f" ({count} more lost before)" if count else ""
