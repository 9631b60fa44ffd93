"""Part of the service that says what cameras show that their models were not trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from edgeloop.edge.drift.drift_sink import DriftSink
from edgeloop.edge.drift.drift_watch import DriftWatch
from edgeloop.edge.result import Sink
from edgeloop.edge.service.board import Board, CameraState
from edgeloop.edge.service.service_config import ServiceConfig
from edgeloop.edge.service.service_part import ServicePart
from edgeloop.edge.service.worker.model_worker import ModelWorker
from edgeloop.models.bundle.frame_statistics import FrameStatistics

__all__ = ["DriftPart"]


class DriftPart(ServicePart):
    """Part of the service that watches what each camera shows, by the model that looks at it."""

    def __init__(self, workers: Mapping[str, ModelWorker], _config: ServiceConfig, _board: Board) -> None:
        """Watch the cameras of some models; workers by name of the model, started."""
        self._workers = workers

    def sinks(self, camera: CameraState) -> Sequence[Sink]:
        """Make the sink that looks at the frames of a camera."""
        worker = self._workers[camera.model]
        return [DriftSink(camera.stream, partial(_frames_of, worker), partial(_note, camera))]


def _frames_of(worker: ModelWorker) -> FrameStatistics | None:
    return worker.frames


def _note(camera: CameraState, watch: DriftWatch | None) -> None:
    """Show on the board what is said of a camera; None if its model does not know its training frames."""
    camera.drift, camera.drift_reason = ("", "") if watch is None else (watch.kind, watch.reason)
