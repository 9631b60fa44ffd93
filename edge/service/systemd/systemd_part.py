"""The service as systemd sees it: ready, its status, and a sign of life while frames go through."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence

from edgeloop.edge.service.board import Board, CameraState
from edgeloop.edge.service.service_config import ServiceConfig
from edgeloop.edge.service.service_part import ServicePart
from edgeloop.edge.service.systemd.loop_watch import LoopWatch
from edgeloop.edge.service.systemd.notify import notify, watchdog_s

__all__ = ["SystemdPart"]

log = logging.getLogger(__name__)

_READY_S = 30.0
"""Longest wait for a frame of every camera: one that is away must not stop the boot."""

_LOOK_S = 1.0


class SystemdPart(ServicePart):
    """Part of the service that tells systemd that it is ready, its status, and that it is alive."""

    def __init__(self, config: ServiceConfig, board: Board) -> None:
        """Prepare to watch the cameras of the board."""
        self._board, self._fresh_s = board, config.health.ready_s
        self._hang_s = {name: model.hang_s for name, model in config.models.items()}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="systemd", daemon=True)

    def start(self) -> None:
        """Start to watch the cameras."""
        self._thread.start()

    def close(self) -> None:
        """Say that the service stops."""
        self._stopping.set()
        notify("STOPPING=1")
        if self._thread.is_alive():
            self._thread.join(1.0)

    def _run(self) -> None:
        limit_s = watchdog_s()
        look_s = _LOOK_S if limit_s is None else min(_LOOK_S, limit_s / 2)
        ready_by = time.monotonic() + _READY_S
        watch = LoopWatch(self._board.cameras, self._hang_s, time.monotonic())
        ready, told, trouble = False, "", ""
        while not self._stopping.wait(look_s if told else 0.0):
            now = time.monotonic()
            if not ready and (now > ready_by or all(each.result_at for each in self._cameras)):
                ready = notify("READY=1")
            status = self._status(now)
            if status != told:
                notify(f"STATUS={status}")
                told = status
            before, trouble = trouble, watch.trouble(now)
            if trouble and not before:
                log.error("%s; systemd gets no sign of life until that is over", trouble)
            if limit_s is not None and not trouble:
                notify("WATCHDOG=1")

    @property
    def _cameras(self) -> Sequence[CameraState]:
        return tuple(self._board.cameras.values())

    def _status(self, now: float) -> str:
        fine = [
            each
            for each in self._cameras
            if each.result_at is not None and now - each.result_at <= self._fresh_s
        ]
        parts = [f"frames of {len(fine)} of {len(self._cameras)} cameras go through"]
        parts += [f"camera {each.name}: {each.link.status}" for each in self._cameras if each not in fine]
        models = self._board.models.values()
        return "; ".join(
            parts + [f"model {each.name}: {each.status}" for each in models if each.status != "ok"]
        )
