"""Health of the service: what is not as it should be, why, and since when."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from edgeloop.edge.host.disk_space import free_mb
from edgeloop.edge.service.board import Board, CameraState
from edgeloop.edge.service.service_config import ServiceConfig

__all__ = ["Check", "Health", "Readiness"]

BEAT_S = 5.0
"""Longest time in seconds between two looks of the supervisor at its loops, which takes them every 0.2 s."""


class Check(BaseModel):
    """One condition of readiness.

    Attributes:
        kind: Kind of what is checked.
        name: Name of the camera or model, or the folder on the disk.
        ok: True if it is as it should be.
        reason: What is wrong; "" if nothing is.
        since: Time in UTC since when, ISO 8601; null if nothing is wrong.
        for_s: Seconds since then.
    """

    kind: Literal["camera", "model", "disk"]
    name: str
    ok: bool
    reason: str
    since: str | None
    for_s: float


class Readiness(BaseModel):
    """Readiness of the service.

    Attributes:
        ready: True if every check is fine.
        failing: Checks that are not.
        checks: All checks.
    """

    ready: bool
    failing: list[Check]
    checks: list[Check]


class Health:
    """Checks of the service, for any thread."""

    def __init__(self, config: ServiceConfig, board: Board) -> None:
        """Check the cameras and models of a board, and the disks that the service writes to."""
        self._limits, self._board = config.health, board
        folders = {config.state}
        if config.clips is not None and config.clips.folder is not None:
            folders.add(config.clips.folder)
        if config.ring is not None and config.ring.folder is not None:
            folders.add(config.ring.folder)
        self._folders = sorted(folders)
        self._failing_since: dict[tuple[str, str], float] = {}

    def alive(self) -> bool:
        """True if the supervisor of the process runs."""
        return time.monotonic() - self._board.supervised_at < BEAT_S

    def readiness(self) -> Readiness:
        """Check everything."""
        now = time.monotonic()
        checks = [self._camera(state, now) for state in self._board.cameras.values()]
        for model in self._board.models.values():
            reason = "" if model.status == "ok" else f"{model.status}: {model.reason}".removesuffix(": ")
            checks.append(self._check("model", model.name, reason, now))
        checks += [self._check("disk", str(folder), self._disk(folder), now) for folder in self._folders]
        failing = [check for check in checks if not check.ok]
        return Readiness(ready=not failing, failing=failing, checks=checks)

    def _camera(self, state: CameraState, now: float) -> Check:
        limit_s, link = self._limits.ready_s, state.link
        age_s, board = state.age_s(now), self._board
        good_at, reason = now, ""
        if link.status == "ended":
            good_at, reason = link.since, "ended"
        elif age_s is None:
            good_at, reason = board.started_at, "no frame yet"
        elif age_s > limit_s:
            good_at, reason = now - age_s, f"{link.status}: no frame"
        elif link.status == "frozen":
            good_at, reason = link.since, "frozen: the same picture for ever"
        elif state.result_at is None or now - state.result_at > limit_s:
            good_at, reason = state.result_at or board.started_at, "frames arrive, but no result"
        why = link.reason or state.reason
        if reason and why:
            reason += f" ({why})"
        return self._check("camera", state.name, reason, now, good_at)

    def _disk(self, folder: Path) -> str:
        try:
            free = free_mb(folder)
        except OSError as error:
            return f"does not answer ({error.strerror})"
        limit = self._limits.free_mb
        return "" if free >= limit else f"{free:.0f} MB free, expected at least {limit:.0f}"

    def _check(
        self,
        kind: Literal["camera", "model", "disk"],
        name: str,
        reason: str,
        now: float,
        good_at: float | None = None,
    ) -> Check:
        """Make a check; without `good_at` it fails since it was first seen to."""
        if not reason:
            self._failing_since.pop((kind, name), None)
            return Check(kind=kind, name=name, ok=True, reason="", since=None, for_s=0.0)
        first = self._failing_since.setdefault((kind, name), now if good_at is None else good_at)
        for_s = now - first
        since = datetime.fromtimestamp(time.time() - for_s, UTC).isoformat(timespec="seconds")
        return Check(kind=kind, name=name, ok=False, reason=reason, since=since, for_s=round(for_s, 1))
