"""Pace of restarts: soon, but at most five in a minute, then with a growing pause."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

__all__ = ["RestartPacer"]

_SOON_S = (0.0, 0.2, 0.5, 1.0, 2.0)
_PAUSES_S = (10.0, 30.0, 60.0, 120.0, 300.0)


class RestartPacer:
    """Pace at which to start again what fails. All times are of the monotonic clock, in seconds."""

    def __init__(self, most: int = 5, within_s: float = 60.0, pauses_s: Sequence[float] = _PAUSES_S) -> None:
        """Begin without restarts.

        Args:
            most: Maximum number of restarts in `within_s` seconds.
            within_s: Also the time for which it must hold to begin anew.
            pauses_s: Pauses after more than that, each longer; the last one is repeated.
        """
        self._within_s, self._pauses_s = within_s, pauses_s
        self._restarts: deque[float] = deque(maxlen=most)
        self._paused = 0

    @property
    def exceeded(self) -> bool:
        """True if there were too many restarts, and it has not held since."""
        return self._paused > 0

    def pause_s(self, now: float, held_s: float) -> float:
        """Seconds to wait before the next restart.

        Args:
            now: Time of the failure.
            held_s: Time that it has worked since the last start.
        """
        if held_s >= self._within_s:
            self._restarts.clear()
            self._paused = 0
        recent = [each for each in self._restarts if now - each < self._within_s]
        if not self._paused and len(recent) != self._restarts.maxlen:
            return _SOON_S[min(len(recent), len(_SOON_S) - 1)]
        pause_s = self._pauses_s[min(self._paused, len(self._pauses_s) - 1)]
        self._paused += 1
        return max(pause_s, self._restarts[0] + self._within_s - now)

    def count(self, now: float) -> None:
        """Note a restart."""
        self._restarts.append(now)
