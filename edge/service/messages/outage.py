"""Time without a destination: what is said of it, once, and how long to wait before the next attempt."""

from __future__ import annotations

import logging
import random
import time

__all__ = ["Outage"]

log = logging.getLogger(__name__)

MIN_PAUSE_S = 0.5
"""Length of the first pauses in seconds."""

STEADY_S = 10.0
"""Seconds after which a return counts: before, the outage goes on, and the pauses with it."""


class Outage:
    """Outages of one destination.

    Attributes:
        name: Name of the destination, as it is logged.
    """

    def __init__(self, name: str, part: str, *, share: float, max_pause_s: float) -> None:
        """Start with a destination of which nothing is known.

        Args:
            name: Name of the destination, as it is logged.
            part: Name of its figures on the board, as it is logged for machines.
            share: Length of a pause as a share of the outage so far. Higher values spare the destination but
                may notice its return later.
            max_pause_s: Maximum length of a pause in seconds.
        """
        self.name, self._part, self._share, self._max_pause_s = name, part, share, max_pause_s
        self._since: float | None = None
        self._ended_at: float | None = None
        self._told: set[str] = set()
        self._away = False

    def begin(self, reason: str) -> None:
        """Note that an attempt failed; the loss is a warning once, each further reason of it is told once."""
        now = time.monotonic()
        if self._since is None or (self._ended_at is not None and now - self._ended_at > STEADY_S):
            self._since = now
            self._told.clear()
        self._ended_at = None
        if reason not in self._told:
            self._told.add(reason)
            level = logging.INFO if self._away else logging.WARNING
            extra = {"event": "destination-lost", "part": self._part}
            log.log(level, "%s: %s (events wait on disk)", self.name, reason, extra=extra)
            self._away = True

    def end(self) -> None:
        """Note that the destination is there; it is logged if its absence was."""
        if self._ended_at is None:
            self._ended_at = time.monotonic()
        if self._away:
            self._away = False
            extra = {"event": "destination-back", "part": self._part}
            log.warning("%s: there again", self.name, extra=extra)

    def pause_s(self) -> float:
        """Seconds to wait before the next attempt, a little at random: not all devices come at once."""
        now = time.monotonic()
        pause_s = max(MIN_PAUSE_S, (now - (self._since or now)) * self._share)
        return min(self._max_pause_s, pause_s) * random.uniform(0.8, 1.2)
