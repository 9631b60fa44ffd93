"""Models of the service: started from a file, or from the store."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgeloop.edge.service.board import ModelState
from edgeloop.edge.service.service_config import ServiceConfig
from edgeloop.edge.service.store.class_check import check_classes
from edgeloop.edge.service.store.model_store import ModelStore
from edgeloop.edge.service.worker.model_worker import ModelWorker
from edgeloop.models.errors import EdgeloopError

__all__ = ["start_worker", "stored_model"]

log = logging.getLogger(__name__)


@contextmanager
def stored_model(config: ServiceConfig, state: ModelState) -> Iterator[ModelWorker]:
    """Run the current model of a store; if it is on probation and cannot start, the previous one.

    Args:
        config: Configuration of the service.
        state: State of the model on the board.

    Yields:
        The worker, started.

    Raises:
        EdgeloopError: No model is installed, or none can be started.
    """
    store = ModelStore(config.state, state.name)
    path = store.begin_service()
    try:
        worker = start_worker(config, state, path)
    except EdgeloopError as error:
        stored = store.read()
        if stored.probation is None or stored.previous is None:
            raise
        log.error(
            "model %s: %s is given up: %s",
            state.name,
            path.stem[:12],
            error,
            extra={"event": "model-given-up"},
        )
        with _said(state.name):
            store.roll_back(f"cannot be started: {error}", only=path.stem)
        worker = start_worker(config, state, store.path(stored.previous))
    try:
        yield worker
    finally:
        worker.close()
        with _said(state.name):
            store.end_service()


@contextmanager
def _said(name: str) -> Iterator[None]:
    """Log that a store cannot be written, and go on."""
    try:
        yield
    except EdgeloopError as error:
        log.warning("model %s: %s", name, error)


def start_worker(config: ServiceConfig, state: ModelState, path: Path) -> ModelWorker:
    """Start the worker of a model.

    Args:
        config: Configuration of the service.
        state: State of the model on the board.
        path: Model file.

    Raises:
        EdgeloopError: It cannot be started, or lacks a class that a camera names.
    """
    worker = ModelWorker(config.models[state.name], path, state)
    try:
        worker.start()
        check_classes(config, state.name, worker.names)
    except BaseException:
        worker.close()
        raise
    return worker
