"""Course of a teaching, a line a second: who answers, how fast, and how well if that is known."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from edgeloop.edge.host.durable_file import append_to_file
from edgeloop.models.errors import EdgeloopError

__all__ = ["Moment", "Timeline"]

_PERIOD_S, _SLOW_PERIOD_S = 1.0, 60.0
_FAST_S = 1800.0  # after the last event, from which on a line a minute does
_MOST = 20_000  # moments that are remembered, to be drawn


@dataclass(frozen=True, slots=True)
class Moment:
    """One second or minute of a teaching.

    Attributes:
        time_s: Seconds since the start.
        answers: Who answers; None before the first answer.
        frames: Frames answered so far.
        fps: Frames answered per second since the moment before.
        kept: Frames kept to learn from.
        map50: Mean average precision at IoU 0.5 of the last answers; None if the truth is unknown.
        events: Lines about what happened since the moment before.
    """

    time_s: float
    answers: str | None
    frames: int
    fps: float
    kept: int
    map50: float | None
    events: tuple[str, ...] = ()


class Timeline:
    """Writes a moment every second, later every minute, from a thread.

    Attributes:
        moments: Last moments, in order.
    """

    def __init__(self, path: Path, look: Callable[[], tuple[str | None, int, int, float | None]]) -> None:
        """Prepare the timeline.

        Args:
            path: JSON lines to add to.
            look: Tells who answers, the frames answered, those kept, and the mAP50 of the last answers.
        """
        self._path, self._look = path, look
        self.moments: deque[Moment] = deque(maxlen=_MOST)
        self._events: list[str] = []
        self._began = self._at = self._changed = time.monotonic()
        self._frames = 0
        self._lock, self._ended = threading.Lock(), threading.Event()
        self._problem = ""
        self._thread = threading.Thread(target=self._run, name="edgeloop-timeline", daemon=True)

    def start(self) -> None:
        """Start to write."""
        self._thread.start()

    def note(self, event: str) -> None:
        """Note an event; it belongs to the next moment."""
        with self._lock:
            self._events.append(event)
        self._changed = time.monotonic()

    def close(self) -> None:
        """Write the last moment."""
        self._ended.set()
        self._thread.join()
        self._write()

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._began

    def _run(self) -> None:
        while True:
            quiet = time.monotonic() - self._changed > _FAST_S
            if self._ended.wait(_SLOW_PERIOD_S if quiet else _PERIOD_S):
                return
            self._write()

    def _write(self) -> None:
        answers, frames, kept, map50 = self._look()
        now = time.monotonic()
        with self._lock:
            events, self._events = tuple(self._events), []
        moment = Moment(
            time_s=round(now - self._began, 2),
            answers=answers,
            frames=frames,
            fps=round((frames - self._frames) / max(now - self._at, 1e-3), 2),
            kept=kept,
            map50=None if map50 is None else round(map50, 4),
            events=events,
        )
        self._at, self._frames = now, frames
        self.moments.append(moment)
        try:
            append_to_file(self._path, (json.dumps(asdict(moment), ensure_ascii=False) + "\n").encode())
        except EdgeloopError as error:  # a full disk ends no answers
            self._problem = str(error)

    @property
    def problem(self) -> str:
        """Reason why lines are missing in the file; empty if none are."""
        return self._problem


def smoothed(moments: Sequence[Moment], seconds: float) -> list[tuple[float, float]]:
    """Frames per second over the last seconds, at each moment: (time in s, rate)."""
    rates: list[tuple[float, float]] = []
    first = 0
    for moment in moments:
        while moments[first].time_s < moment.time_s - seconds:
            first += 1
        if (span := moment.time_s - moments[first].time_s) > 0:
            rates.append((moment.time_s, (moment.frames - moments[first].frames) / span))
    return rates
