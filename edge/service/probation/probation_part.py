"""Part of the service that follows the stores of its models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edgeloop.edge.result import Sink
from edgeloop.edge.service.board import Board, CameraState
from edgeloop.edge.service.probation.model_watch import ModelWatch
from edgeloop.edge.service.service_config import ServiceConfig
from edgeloop.edge.service.service_part import ServicePart
from edgeloop.edge.service.worker.model_worker import ModelWorker

__all__ = ["ProbationPart"]


class ProbationPart(ServicePart):
    """Part of the service that swaps models with their stores, compares candidates, and judges new ones."""

    def __init__(self, workers: Mapping[str, ModelWorker], config: ServiceConfig, board: Board) -> None:
        """Watch the models that come from a store.

        Args:
            workers: Started workers by name of the model.
            config: Configuration of the service.
            board: State of the service.
        """
        self._watches = {
            name: ModelWatch(config, board.models[name], workers[name])
            for name, model in config.models.items()
            if model.is_stored
        }

    def sinks(self, camera: CameraState) -> Sequence[Sink]:
        """Make the sink that shows results to the watch of their model."""
        watch = self._watches.get(camera.model)
        return [] if watch is None else [watch.sink(camera.name)]

    def start(self) -> None:
        """Start to watch."""
        for watch in self._watches.values():
            watch.start()

    def close(self) -> None:
        """End, and save what is known of each probation."""
        for watch in self._watches.values():
            watch.close()
