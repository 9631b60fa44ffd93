"""Models of the service that come from a loop: started with the teacher, swapped as it learns."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from edgeloop.edge.host.file_version import file_version
from edgeloop.edge.service.board import ModelState
from edgeloop.edge.service.probation.stored_model import start_worker
from edgeloop.edge.service.service_config import ServiceConfig
from edgeloop.edge.service.store.class_check import required_classes
from edgeloop.edge.service.systemd.notify import notify
from edgeloop.edge.service.taught.served_loop import ServedLoop, open_served_loop
from edgeloop.edge.service.worker.model_worker import ModelWorker
from edgeloop.models.errors import UnavailableError

__all__ = ["TaughtModel", "first_model", "taught_model"]

log = logging.getLogger(__name__)

_FIRST_S = 600.0
"""Maximum time until the teacher can answer for the first time."""

_LOOK_S = 0.5
_PAUSE_S = 10.0
"""Seconds until a model that could not take over is tried again."""


class TaughtModel:
    """Worker that is kept at the model of its loop.

    Attributes:
        worker: The worker.
        loop: The loop.
    """

    def __init__(
        self, config: ServiceConfig, state: ModelState, worker: ModelWorker, loop: ServedLoop
    ) -> None:
        """Watch a loop.

        Args:
            config: Configuration of the service.
            state: State of the model on the board.
            worker: Worker, started with a model of the loop.
            loop: The loop.
        """
        self.worker, self.loop = worker, loop
        self._config, self._name = config, state.name
        self._running = _identity(worker.path)
        self._next_at, self._said = 0.0, ""
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"loop {self._name}", daemon=True)

    def start(self) -> None:
        """Start to watch."""
        self._thread.start()

    def close(self) -> None:
        """End."""
        self._closed.set()
        if self._thread.is_alive():
            self._thread.join(1.0)

    def _run(self) -> None:
        while not self._closed.wait(_LOOK_S):
            try:
                self._look()
            except Exception as error:  # the watch goes on whatever happens
                self._next_at = time.monotonic() + _PAUSE_S
                if str(error) != self._said:
                    log.error("model %s: what its loop wants cannot take over: %s", self._name, error)
                self._said = str(error)

    def _look(self) -> None:
        path = self.loop.model()
        if path is None or time.monotonic() < self._next_at:
            return
        wanted = _identity(path)
        if wanted != self._running:
            self.worker.swap(path, frozenset(required_classes(self._config, self._name)))
            self._running = wanted
            log.info("model %s: %s took over", self._name, path, extra={"event": "model-swapped"})
        self._said = ""


@contextmanager
def taught_model(config: ServiceConfig, state: ModelState, folder: Path) -> Iterator[TaughtModel]:
    """Run the model of a loop, which learns beside.

    Args:
        config: Configuration of the service.
        state: State of the model on the board.
        folder: Folder of the loop.

    Yields:
        The model, whose worker is started; it is watched from `TaughtModel.start` on.

    Raises:
        UnavailableError: Nothing is installed that learns, or the teacher was not ready in time.
        EdgeloopError: The loop cannot be used, or the worker cannot be started.
    """
    lines: list[str] = []
    loop = open_served_loop(folder, partial(_tell, state.name, lines))
    try:
        loop.start()
        worker = start_worker(config, state, first_model(loop, state.name, folder, lines))
        try:
            yield TaughtModel(config, state, worker, loop)
        finally:
            worker.close()
    finally:
        loop.close()


def first_model(loop: ServedLoop, name: str, folder: Path, lines: Sequence[str]) -> Path:
    """Wait until a loop has a model; systemd shows what it waits for.

    Args:
        loop: The loop, started.
        name: Name of the model.
        folder: Folder of the loop.
        lines: Last line that the loop told; empty before the first.

    Raises:
        UnavailableError: It has none in time.
    """
    until = time.monotonic() + _FIRST_S
    while (path := loop.model()) is None:
        told = lines[-1] if lines else "its teacher starts to learn"
        if time.monotonic() >= until:
            raise UnavailableError(f"{folder}: no teacher after {_FIRST_S:g} s: {told}")
        notify(f"STATUS=model {name}: {told}")
        time.sleep(_LOOK_S)
    return path


def _tell(name: str, lines: list[str], line: str) -> None:
    lines[:] = [line]
    log.info("model %s: %s", name, line)


def _identity(path: Path) -> tuple[Path, tuple[int, int, int] | None]:
    return path, file_version(path)
