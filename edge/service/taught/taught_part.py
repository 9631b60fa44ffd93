"""Part of the service that follows the loops of its models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edgeloop.edge.result import Sink
from edgeloop.edge.service.board import Board, CameraState
from edgeloop.edge.service.service_config import ServiceConfig
from edgeloop.edge.service.service_part import ServicePart
from edgeloop.edge.service.taught.taught_model import TaughtModel

__all__ = ["TaughtPart"]


class TaughtPart(ServicePart):
    """Part of the service that swaps models as their loops learn, and keeps frames to learn from."""

    def __init__(self, taught: Mapping[str, TaughtModel], config: ServiceConfig, board: Board) -> None:
        """Follow the models that come from a loop.

        Args:
            taught: Started models by name.
            config: Configuration of the service.
            board: State of the service.
        """
        del config, board
        self._taught = taught

    def sinks(self, camera: CameraState) -> Sequence[Sink]:
        """Make the sink that keeps frames of a camera."""
        taught = self._taught.get(camera.model)
        return [] if taught is None else [taught.loop.sink(camera.stream.source)]

    def start(self) -> None:
        """Start to watch."""
        for taught in self._taught.values():
            taught.start()

    def close(self) -> None:
        """End."""
        for taught in self._taught.values():
            taught.close()
