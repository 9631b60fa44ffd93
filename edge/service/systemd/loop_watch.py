"""Watch over the loops: every frame that arrives must have its turn, and some must go through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edgeloop.edge.service.board import CameraState

__all__ = ["LoopWatch"]

_SLACK_S = 10.0
_LAST_RESORT_S = 900.0


@dataclass(slots=True)
class _Turns:
    """Turns of one camera; times of the monotonic clock in seconds."""

    count: int
    turn_at: float
    waiting_since: float | None = None


class LoopWatch:
    """Watch that notices if a loop is stuck, or if every frame fails for long.

    A camera that gives no frame is left alone: no restart of the service would cure it.
    """

    def __init__(self, cameras: Mapping[str, CameraState], hang_s: Mapping[str, float], now: float) -> None:
        """Start to watch.

        Args:
            cameras: States by name.
            hang_s: Maximum time in seconds of one frame, by name of the model.
            now: Monotonic clock in seconds.
        """
        self._cameras = cameras
        # A frame may have to wait for one of another camera that hangs.
        self._limit_s = {name: _SLACK_S + 2 * hang_s[each.model] for name, each in cameras.items()}
        self._turns = {name: _Turns(_turns(each), now) for name, each in cameras.items()}
        self._through = self._failed = 0
        self._failing_since: float | None = None
        self._failed_at = now

    def trouble(self, now: float) -> str:
        """Say why the service should be started again; "" if there is no reason.

        Args:
            now: Monotonic clock in seconds. Ask about once a second.
        """
        stuck = [name for name, camera in self._cameras.items() if self._is_stuck(name, camera, now)]
        if stuck:
            return f"no frame of {', '.join(stuck)} has its turn"
        failing_s = self._failing_s(now)
        return "" if failing_s <= _LAST_RESORT_S else f"every frame fails for {failing_s / 60:.0f} minutes"

    def _is_stuck(self, name: str, camera: CameraState, now: float) -> bool:
        turns, count, newest_at = self._turns[name], _turns(camera), camera.link.newest_at
        if count != turns.count:
            self._turns[name] = _Turns(count, now)
            return False
        if turns.waiting_since is None and newest_at is not None and newest_at > turns.turn_at:
            turns.waiting_since = now
        return turns.waiting_since is not None and now - turns.waiting_since > self._limit_s[name]

    def _failing_s(self, now: float) -> float:
        """Seconds for which frames of all cameras failed and none went through."""
        streams = [each.stream for each in self._cameras.values()]
        through, failed = sum(each.meter.frames for each in streams), sum(each.failed for each in streams)
        if through != self._through:
            self._failing_since = None
        elif failed != self._failed:
            self._failing_since, self._failed_at = self._failing_since or now, now
        self._through, self._failed = through, failed
        return 0.0 if self._failing_since is None else self._failed_at - self._failing_since


def _turns(camera: CameraState) -> int:
    """Number of frames that had their turn in the loop, whatever became of them."""
    stream = camera.stream
    return stream.meter.frames + stream.failed + stream.source.stale
