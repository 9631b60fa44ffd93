"""Time within footage, by the time stamps of its container."""

from __future__ import annotations

import math

from edgeloop.edge.frame import DEFAULT_FPS

__all__ = ["MediaClock"]

RESTART_S = 1.0
"""Seconds by which time stamps go back if a recording starts again within its file."""


class MediaClock:
    """Times of frames that never go back, whatever the time stamps do.

    Raw streams have no time stamps: their frames follow each other at the nominal rate. So do the frames at
    which time stamps go back, as in files that were put together.
    """

    def __init__(self, fps: float | None) -> None:
        """Start before the first frame.

        Args:
            fps: Nominal frames per second; None if unknown.
        """
        self.time_s = -math.inf
        self._step_s = 1 / (fps or DEFAULT_FPS)
        self._offset_s = 0.0

    def tell(self, stamp_s: float) -> float:
        """Time of the next frame.

        Args:
            stamp_s: Its time stamp in seconds.

        Returns:
            Seconds since the first frame.
        """
        time_s = stamp_s + self._offset_s
        if math.isinf(self.time_s):
            time_s, self._offset_s = 0.0, -stamp_s
        elif time_s <= self.time_s or stamp_s == 0:  # OpenCV says 0 if there is none
            back_s, time_s = self.time_s - time_s, self.time_s + self._step_s
            if back_s > RESTART_S and stamp_s != 0:
                self._offset_s = time_s - stamp_s
        self.time_s = time_s
        return time_s
