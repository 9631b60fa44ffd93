"""The service: cameras, models and parts put together, run until a signal ends it."""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from functools import partial

from edgeloop.edge.cli.signals import stopped_by_signals
from edgeloop.edge.loop.open_stream import open_stream
from edgeloop.edge.loop.stream import Stream
from edgeloop.edge.result import Result, Sink
from edgeloop.edge.runtime.frame_detector import FrameDetector
from edgeloop.edge.service.board import Board, CameraState, ModelState
from edgeloop.edge.service.clips.clips_part import ClipsPart, packet_seconds
from edgeloop.edge.service.detection_filter import detection_filter
from edgeloop.edge.service.drift_part import DriftPart
from edgeloop.edge.service.messages.mqtt_part import MqttPart
from edgeloop.edge.service.messages.webhook_part import WebhookPart
from edgeloop.edge.service.page.page_part import PagePart
from edgeloop.edge.service.probation.probation_part import ProbationPart
from edgeloop.edge.service.probation.stored_model import start_worker, stored_model
from edgeloop.edge.service.ring_part import RingPart
from edgeloop.edge.service.service_config import CameraConfig, ServiceConfig
from edgeloop.edge.service.service_part import EventListener, ServicePart, make_event
from edgeloop.edge.service.systemd.longer_start import longer_start
from edgeloop.edge.service.systemd.systemd_part import SystemdPart
from edgeloop.edge.service.taught.taught_model import TaughtModel, taught_model
from edgeloop.edge.service.taught.taught_part import TaughtPart
from edgeloop.edge.service.worker.model_loop import ModelLoop
from edgeloop.edge.service.worker.model_worker import ModelWorker
from edgeloop.edge.sources import LivePolicy, open_source
from edgeloop.edge.sources.packets.stream_reader import connect_stream
from edgeloop.edge.tracking import IgnoreMask, ZoneCounter, read_zones
from edgeloop.edge.web.server import open_port

__all__ = ["run_service"]

log = logging.getLogger(__name__)

_LEAVE_S = 2.0
"""Longest wait in seconds for the frames in hand at the end: that of a model that hangs would not come."""

PartFactory = Callable[[ServiceConfig, Board], ServicePart]


def run_service(config: ServiceConfig, parts: Sequence[PartFactory] = ()) -> None:
    """Run the service until a signal ends it.

    Args:
        config: Cameras, models and parts.
        parts: Further parts, made with the configuration and the board.

    Raises:
        EdgeloopError: A model cannot be loaded, a file of the configuration does not fit, a part cannot
            start, or a loop failed.
    """
    open_port(config.web.host, config.web.port, "web.port").close()  # one that is taken is said at once
    board, stopping = Board(config.name), threading.Event()
    with ExitStack() as running:
        taught: dict[str, TaughtModel] = {}
        with longer_start():
            detectors = {
                name: running.enter_context(_open_model(name, config, board, taught))
                for name in config.models
            }
        for name, stream in _open_cameras(config, detectors).items():
            running.callback(stream.source.close)
            board.cameras[name] = CameraState(name, config.model_of(name), stream)
        opened = [make(config, board) for make in (*_parts(config, detectors, taught), *parts)]
        listeners = [listener for part in opened if (listener := part.listener()) is not None]
        for state in board.cameras.values():
            notes = _FrameNotes(state, board.models[state.model])
            state.stream.on_failure, state.stream.on_result = notes.note_failure, notes.note_result
            # Events first, so that no sink that fails keeps them back.
            state.stream.sinks.append(_EventSource(state, detectors[state.model].names, listeners))
            state.stream.sinks += [sink for part in opened for sink in part.sinks(state)]
        running.enter_context(stopped_by_signals(stopping.set))
        for part in opened:
            running.callback(part.close)
            part.start()
        loops = list(_start_loops(board, detectors))
        try:
            while not stopping.wait(0.2) and not _ended(loops):
                board.supervised_at = time.monotonic()
        finally:
            for state in board.cameras.values():
                state.stream.source.stop()
            ends_at = time.monotonic() + _LEAVE_S
            for loop in loops:
                loop.join(timeout=max(0.0, ends_at - time.monotonic()))
    if failures := [loop.failure for loop in loops if loop.failure and not stopping.is_set()]:
        raise failures[0]
    if not stopping.is_set():
        log.info("all footage has ended", extra={"event": "footage-ended"})


def _parts(
    config: ServiceConfig, workers: Mapping[str, ModelWorker], taught: Mapping[str, TaughtModel]
) -> list[PartFactory]:
    """List the parts that the configuration asks for."""
    parts: list[PartFactory] = [PagePart, partial(DriftPart, workers)]
    if any(model.is_stored for model in config.models.values()):
        parts.append(partial(ProbationPart, workers))
    if taught:
        parts.append(partial(TaughtPart, taught))
    if config.mqtt is not None:
        parts.append(MqttPart)
    if config.clips is not None:
        parts.append(ClipsPart)
    if config.ring is not None:
        parts.append(partial(RingPart, workers))
    parts += [partial(WebhookPart, number) for number in range(len(config.webhooks))]
    if "NOTIFY_SOCKET" in os.environ:
        parts.append(SystemdPart)  # the last, so that it is the first to say that the service stops
    return parts


def _ended(loops: Sequence[ModelLoop]) -> bool:
    """True if one loop failed, or all have ended: only a new start of the service brings them back."""
    return any(loop.failure for loop in loops) or not any(loop.is_alive() for loop in loops)


@contextmanager
def _open_model(
    name: str, config: ServiceConfig, board: Board, taught: dict[str, TaughtModel]
) -> Iterator[ModelWorker]:
    """Start the worker of a model; one that comes from a loop is noted in `taught`."""
    state, model = board.models.setdefault(name, ModelState(name)), config.models[name]
    if model.loop is not None:
        with taught_model(config, state, model.loop) as taught[name]:
            yield taught[name].worker
    elif model.file is None:
        with stored_model(config, state) as worker:
            yield worker
    else:
        with closing(start_worker(config, state, model.file)) as worker:
            yield worker


def _open_cameras(config: ServiceConfig, detectors: Mapping[str, FrameDetector]) -> dict[str, Stream]:
    """Open all cameras at the same time: each that is away or hangs takes seconds."""
    with ThreadPoolExecutor(len(config.cameras), "open") as pool:
        opening = {
            name: pool.submit(
                _open_camera, name, camera, detectors[config.model_of(name)], packet_seconds(config, name)
            )
            for name, camera in config.cameras.items()
        }
    return {name: future.result() for name, future in opening.items()}


def _open_camera(name: str, config: CameraConfig, detector: FrameDetector, packets_s: float) -> Stream:
    names = detector.names
    zones = None
    if config.zones is not None:
        zones = ZoneCounter(read_zones(config.zones, names), names, str(config.zones))
    ignore = None if config.ignore is None else IgnoreMask(config.ignore, names)
    policy = LivePolicy(
        config.max_age_s,
        reconnect_s=math.inf,
        silent_s=config.silent_s,
        frozen_s=config.frozen_s,
        connect_stream=connect_stream,
        packets_s=packets_s,
    )
    source = open_source(config.source, policy)
    source.name = name
    stream = open_stream(
        source, detector, track=config.track, zones=zones, ignore=ignore, skip_unchanged=config.skip_unchanged
    )
    stream.select = detection_filter(config, names)
    return stream


class _FrameNotes:
    """Notes of the frames of one camera. A loss and a return are said once, those of a model by the model."""

    def __init__(self, state: CameraState, model: ModelState) -> None:
        self._state, self._model, self._said = state, model, False

    def note_failure(self, error: Exception) -> bool:
        """Note a failure; the camera goes on with its next frame."""
        state = self._state
        state.reason = f"{type(error).__name__}: {error}" if not str(error) else str(error)
        if not self._said and self._model.status == "ok":
            log.warning("camera %s: %s", state.name, state.reason, extra={"event": "frames-fail"})
            self._said = True
        return True

    def note_result(self, result: Result) -> None:
        """Note that a frame went through."""
        state = self._state
        if self._said:
            log.warning("camera %s: frames go through again", state.name, extra={"event": "frames-return"})
        self._said, state.reason = False, ""
        state.captured_at, state.result_at = result.frame.captured_at, time.monotonic()


class _EventSource(Sink):
    """First sink of a camera: hands on its events."""

    def __init__(self, state: CameraState, names: Sequence[str], listeners: Sequence[EventListener]) -> None:
        self._state, self._names, self._listeners = state, names, listeners

    def write(self, result: Result) -> None:
        state, error = self._state, None
        for found in result.events or ():
            event = make_event(state.name, result, found, self._names)
            state.events = {**state.events, event.kind: state.events.get(event.kind, 0) + 1}
            for listen in self._listeners:
                try:
                    listen(event)
                except Exception as failed:  # the other parts get it all the same
                    error = failed
        if error is not None:
            raise error

    def close(self) -> None:
        pass


def _start_loops(board: Board, detectors: Mapping[str, FrameDetector]) -> Iterator[ModelLoop]:
    """Start one loop for each model, in a thread of its own."""
    streams: defaultdict[str, list[Stream]] = defaultdict(list)
    for state in board.cameras.values():
        streams[state.model].append(state.stream)
    for model, its_streams in streams.items():
        loop = ModelLoop(model, its_streams, detectors[model])
        loop.start()
        yield loop
