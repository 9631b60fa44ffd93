"""Part of the service that keeps a ring of frames to learn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import partial

from edgeloop.edge.host.disk_space import free_mb
from edgeloop.edge.result import Sink
from edgeloop.edge.ring.ring_budget import RingBudget
from edgeloop.edge.ring.ring_entry import RingModel
from edgeloop.edge.ring.ring_sink import RingSink
from edgeloop.edge.ring.ring_writer import RingFigures, RingWriter
from edgeloop.edge.service.board import Board, CameraState, ModelState
from edgeloop.edge.service.service_config import RingConfig, ServiceConfig
from edgeloop.edge.service.service_part import ServicePart
from edgeloop.edge.service.worker.model_worker import ModelWorker

__all__ = ["RingPart"]

_CLOSE_S = 2.0
"""Longest wait in seconds for the frames that are not written yet: a disk may hang."""


class RingPart(ServicePart):
    """Part of the service that keeps frames of its cameras, a share at random and the rest by doubt."""

    def __init__(self, workers: Mapping[str, ModelWorker], config: ServiceConfig, board: Board) -> None:
        """Open the ring as soon as its disk is there; workers by name of the model, started."""
        self._workers, self._board, self._cameras = workers, board, config.cameras
        self._folder, ring = config.ring_folder, config.ring or RingConfig()
        self._budget = RingBudget(ring.megabytes, ring.days, ring.random_share)
        self._writer = RingWriter(
            self._folder,
            self._budget,
            keep_free_mb=config.health.free_mb,
            patient=True,
            on_figures=self._show,
        )

    def sinks(self, camera: CameraState) -> Sequence[Sink]:
        """Make the sink of the frames of a camera."""
        config, worker = self._cameras[camera.name], self._workers[camera.model]
        if not config.ring:
            return ()
        least = config.confidence or 0.0
        model = partial(_model_of, worker, self._board.models[camera.model])
        return (RingSink(self._writer, camera.stream.source, partial(_threshold_of, worker, least), model),)

    def close(self) -> None:
        """Write the frames that wait."""
        self._writer.close(_CLOSE_S)

    def _show(self, figures: RingFigures) -> None:
        self._board.set_figures("ring", **asdict(figures), budget_bytes=self._budget.bytes)
        with suppress(OSError):
            self._board.set_figures("ring", free_bytes=free_mb(self._folder) * 1e6)


def _threshold_of(worker: ModelWorker, least: float) -> float:
    """Lowest minimum confidence of the model that answers now, or that of the camera if it is higher."""
    return max(worker.spec.lowest_confidence, least)


def _model_of(worker: ModelWorker, state: ModelState) -> RingModel:
    """Describe the model that answers now; one that was swapped has another digest, and maybe more names."""
    return RingModel(state.digest, tuple(worker.names), worker.spec.lowest_confidence)
