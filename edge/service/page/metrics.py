"""Metrics for Prometheus: the board read at each scrape, and a histogram fed with each frame."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from importlib.metadata import version
from typing import get_args

import psutil
from prometheus_client import (
    CollectorRegistry,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from edgeloop.edge.drift.drift_judge import DriftKind
from edgeloop.edge.result import Result
from edgeloop.edge.service.board import Board, CameraState, ModelStatus
from edgeloop.edge.service.page.health import Health
from edgeloop.edge.sources.live import LinkStatus

__all__ = ["Metrics"]

BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
COUNTS = re.compile(
    r".*(deleted|dropped|encoded|failed|frames|lost|overflowed|reconnects|refused|retries|rollbacks|saved|sent"
    r"|skipped|written)"
)
"""Ends of the figures that only grow: `sent` of `mqtt` is the counter edgeloop_mqtt_sent_total."""

_NUMBERED = re.compile(r"(.+)_([0-9]+)")  # `webhook_2` is webhook="2"
STAGES = ("wait", "preprocess", "infer", "postprocess", "track", "act")


class Metrics:
    """Metrics of the service, in a registry of their own."""

    def __init__(self, board: Board, health: Health) -> None:
        """Describe a board."""
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        self._seconds = Histogram(
            "edgeloop_frame_seconds",
            "Time of a frame from its arrival until its result had been acted upon, by stage; total is all.",
            ("camera", "stage"),
            buckets=BUCKETS_S,
            registry=self._registry,
        )
        self._registry.register(_BoardCollector(board, health))
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)

    def watch(self, camera: CameraState) -> None:
        """Time each frame of a camera once all else has acted on it."""
        observe = {stage: self._seconds.labels(camera.name, stage).observe for stage in (*STAGES, "total")}
        following = camera.stream.on_result

        def time_frame(result: Result) -> None:
            timings = result.timings
            total_s = time.monotonic() - result.frame.captured_at
            for stage, spent_ms in timings.stages_ms.items():
                if stage in observe:
                    observe[stage](spent_ms / 1000)
            observe["act"](max(0.0, total_s - timings.latency_ms / 1000))
            observe["total"](total_s)
            if following is not None:
                following(result)

        camera.stream.on_result = time_frame

    def text(self) -> bytes:
        """Write all metrics in the text format of Prometheus."""
        return generate_latest(self._registry)


class _BoardCollector(Collector):
    """Collector of the state on the board, which it reads when Prometheus asks."""

    def __init__(self, board: Board, health: Health) -> None:
        self._board, self._health = board, health
        self._version = version("edgeloop")  # from a file

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterator[Metric]:
        info = InfoMetricFamily("edgeloop", "Version of edgeloop, and the name of this device.")
        info.add_metric((), {"version": self._version, "device": self._board.name})
        yield info
        yield GaugeMetricFamily(
            "edgeloop_children_resident_memory_bytes",
            "Resident memory of the child processes, which run the models.",
            value=_children_memory(),
        )
        yield from self._checks()
        yield from self._cameras()
        yield from self._events()
        yield from self._models()
        parts: dict[str, dict[str | None, Mapping[str, float]]] = {}
        for part, figures in self._board.figures().items():
            numbered = _NUMBERED.fullmatch(part)
            name, number = (numbered[1], numbered[2]) if numbered else (part, None)
            parts.setdefault(name, {})[number] = figures
        for name, found in parts.items():
            yield from _figures(name, found)

    def _checks(self) -> Iterator[Metric]:
        found = self._health.readiness()
        yield GaugeMetricFamily("edgeloop_ready", "1 if every check is fine.", value=float(found.ready))
        checks = GaugeMetricFamily(
            "edgeloop_check_ok", "1 if a check of /readyz is fine.", labels=("kind", "name")
        )
        for check in found.checks:
            checks.add_metric((check.kind, check.name), float(check.ok))
        yield checks

    def _cameras(self) -> Iterator[Metric]:
        camera = ("camera",)
        arrived = CounterMetricFamily("edgeloop_camera_frames_arrived", "Frames that arrived.", labels=camera)
        frames = CounterMetricFamily(
            "edgeloop_camera_frames", "Frames by fate; every frame has one.", labels=("camera", "fate")
        )
        reconnects = CounterMetricFamily(
            "edgeloop_camera_reconnects", "Connections after the first.", labels=camera
        )
        stalled = CounterMetricFamily(
            "edgeloop_camera_stalled_seconds", "Time without frames, or with a frozen picture.", labels=camera
        )
        age = GaugeMetricFamily(
            "edgeloop_camera_frame_age_seconds", "Age of the newest frame.", labels=camera
        )
        status = GaugeMetricFamily(
            "edgeloop_camera_status", "1 for the state of the connection.", labels=("camera", "status")
        )
        drift = GaugeMetricFamily(
            "edgeloop_camera_drift",
            "1 for the kind of what it shows, by the training frames of its model; none if they are unknown.",
            labels=("camera", "kind"),
        )
        now = time.monotonic()
        for name, state in self._board.cameras.items():
            link = state.link
            for fate, count in state.fates.items():
                frames.add_metric((name, fate), count)
            arrived.add_metric((name,), link.arrived)
            reconnects.add_metric((name,), link.reconnects)
            stalled.add_metric((name,), link.stalled_s)
            age_s = state.age_s(now)
            if age_s is not None:
                age.add_metric((name,), age_s)
            for each in get_args(LinkStatus):
                status.add_metric((name, each), float(link.status == each))
            for kind in get_args(DriftKind) if state.drift else ():
                drift.add_metric((name, kind), float(state.drift == kind))
        yield from (arrived, frames, reconnects, stalled, age, status, drift)

    def _events(self) -> Iterator[Metric]:
        events = CounterMetricFamily(
            "edgeloop_events", "Events in zones and at lines.", labels=("camera", "kind")
        )
        found = CounterMetricFamily(
            "edgeloop_detections", "Objects found, in all frames.", labels=("camera", "class")
        )
        for name, state in self._board.cameras.items():
            for kind, count in tuple(state.events.items()):
                events.add_metric((name, kind), count)
            for class_name, count in state.stream.meter.detections.items():
                found.add_metric((name, class_name), count)
        yield from (events, found)

    def _models(self) -> Iterator[Metric]:
        model = ("model",)
        info = InfoMetricFamily("edgeloop_model", "Model that is loaded.", labels=model)
        status = GaugeMetricFamily("edgeloop_model_status", "1 for its state.", labels=("model", "status"))
        share = GaugeMetricFamily(
            "edgeloop_model_provider_ratio", "Share of its nodes that the provider runs.", labels=model
        )
        restarts = CounterMetricFamily("edgeloop_model_restarts", "Restarts after a failure.", labels=model)
        errors = CounterMetricFamily(
            "edgeloop_model_errors", "Frames without an answer.", labels=("model", "kind")
        )
        probation = GaugeMetricFamily(
            "edgeloop_model_probation_seconds", "Time of probation left; 0 if there is none.", labels=model
        )
        for name, state in self._board.models.items():
            info.add_metric((name,), {"digest": state.digest, "provider": state.provider})
            for each in get_args(ModelStatus):
                status.add_metric((name, each), float(state.status == each))
            if state.provider_share is not None:
                share.add_metric((name,), state.provider_share)
            restarts.add_metric((name,), state.restarts)
            probation.add_metric((name,), state.probation_left_s or 0.0)
            for kind, count in tuple(state.errors.items()):
                errors.add_metric((name, kind), count)
        yield from (info, status, share, restarts, errors, probation)
        yield from _figures("model", {name: state.figures for name, state in self._board.models.items()})


def _children_memory() -> int:
    size = 0
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # it has ended meanwhile
            size += child.memory_info().rss
    return size


def _figures(of: str, figures: Mapping[str | None, Mapping[str, float]]) -> Iterator[Metric]:
    """Metrics of the figures of a part, or of all models by name."""
    names = dict.fromkeys(figure for each in figures.values() for figure in each)
    for figure in names:
        name = re.sub(r"[^a-z0-9_]", "_", f"edgeloop_{of}_{figure}".lower())
        grows = COUNTS.fullmatch(figure)
        family = (CounterMetricFamily if grows else GaugeMetricFamily)(
            name, f"{figure.replace('_', ' ').capitalize()} ({of}).", labels=() if None in figures else (of,)
        )
        for owner, values in figures.items():
            if figure in values:
                family.add_metric(() if owner is None else (owner,), values[figure])
        yield family
