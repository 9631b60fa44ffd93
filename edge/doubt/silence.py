"""Silence: far fewer objects than in the frames around."""

from __future__ import annotations

import math
from collections import deque
from statistics import median

from edgeloop.edge.doubt.neighborhood import Neighborhood, TemporalSign

__all__ = ["Silence"]

_WINDOW_S = 5.0
"""Time in seconds in which counts are compared: objects of most scenes stay about as long in view."""

_SAMPLES, _FEWEST = 50, 5
"""Largest number of counts that are held, and the number from which on their median says something."""

_SIGMA_PER_MAD = 1.4826
"""Standard deviation of a normal variable, as a multiple of its median absolute deviation."""


class Silence(TemporalSign):
    """Missing objects as a share of those that are usual at the moment, beyond what chance explains.

    The usual number is the median of the last seconds; chance, the square root of it (that of objects that
    come one by one) or the spread of the counts. If the two frames beside the one in question show more,
    chance explains nothing: objects do not leave and come back in a moment.
    """

    def __init__(self) -> None:
        """Start without a frame."""
        self._counts = deque[tuple[float, int]](maxlen=_SAMPLES)

    def judge(self, around: Neighborhood) -> float | None:
        """Compare the number of objects with that of the neighbors, and with the usual one."""
        now, count = around.time_s, len(around.found)
        values = []
        if around.before is not None and around.after is not None:
            values.append(_missing_share(count, min(len(around.before), len(around.after)), 0.0))
        while self._counts and not 0 <= now - self._counts[0][0] <= _WINDOW_S:
            self._counts.popleft()
        counts = [each for _, each in self._counts]
        if len(counts) >= _FEWEST:
            usual = median(counts)
            spread = _SIGMA_PER_MAD * median(abs(each - usual) for each in counts)
            values.append(_missing_share(count, usual, max(math.sqrt(usual), spread)))
        if not self._counts or now - self._counts[-1][0] >= _WINDOW_S / _SAMPLES:
            self._counts.append((now, count))
        return max(values, default=None)


def _missing_share(count: int, usual: float, chance: float) -> float:
    return max(0.0, usual - count - chance) / usual if usual else 0.0
