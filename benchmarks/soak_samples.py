"""Samples of a soak: once a second everything that the service says of itself, and what others see of it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

import psutil

from tests.service_faults import ARRIVED, FRAMES
from tests.service_world import World

__all__ = ["Sample", "Sampler"]

EVENTS, RECONNECTS, RESTARTS = (
    "edgeloop_events_total",
    "edgeloop_camera_reconnects_total",
    "edgeloop_model_restarts_total",
)


@dataclass(frozen=True)
class Sample:
    """State of everything at one time.

    Attributes:
        at_s: Seconds since the first picture of the scene.
        fault: Fault that lasts; "after FAULT" until everything works again; "" otherwise.
        ready: Status of /readyz.
        unready: What it says is not ready.
        arrived: Frames that arrived by camera.
        fates: Frames by fate of each camera.
        events: Events that the service counted.
        reconnects: Connections after the first by camera.
        restarts: Restarts of models.
        published: Events that came through the broker.
        posted: Events that were posted.
        memory_mb: Resident memory of all processes of the service.
        main_mb: That of the main process alone.
        threads: Threads of the main process.
        files: Open files of the main process.
    """

    at_s: float
    fault: str
    ready: int
    unready: str
    arrived: Mapping[str, float]
    fates: Mapping[str, Mapping[str, float]]
    events: float
    reconnects: Mapping[str, float]
    restarts: float
    published: int
    posted: int
    memory_mb: float
    main_mb: float
    threads: int
    files: int

    def in_hand(self, camera: str) -> float:
        """Frames of a camera that arrived and have no fate yet."""
        return self.arrived[camera] - sum(self.fates[camera].values())


class Sampler:
    """Takes samples in a thread.

    Attributes:
        samples: Samples so far.
        fault: As in the samples.
        missed: Number of times that the service did not answer.
    """

    def __init__(self, world: World, file: Path | None) -> None:
        self._world, self._file = world, file
        self.samples: list[Sample] = []
        self.fault = ""
        self.missed = 0
        self._stopping = threading.Event()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Take samples, and write each as a line of JSON if there is a file for it."""
        with (self._file or Path("/dev/null")).open("w") as file:
            thread = threading.Thread(target=self._run, args=(file,), name="sampler", daemon=True)
            thread.start()
            try:
                yield
            finally:
                self._stopping.set()
                thread.join()

    def _run(self, file: TextIO) -> None:
        due = time.monotonic()
        while not self._stopping.wait(max(0.0, due - time.monotonic())):
            due += 1.0
            try:
                sample = self._take()
            except (OSError, KeyError, ValueError, psutil.Error):
                self.missed += 1
                continue
            self.samples.append(sample)
            file.write(json.dumps(asdict(sample)) + "\n")
            file.flush()

    def _take(self) -> Sample:
        world, fault = self._world, self.fault
        metrics = world.service.metrics()
        if not metrics:
            raise OSError("the service does not answer")
        ready, unready = world.service.ready()
        main = psutil.Process(world.service.process.pid)
        resident = []
        for process in (main, *world.service.children()):
            with suppress(psutil.NoSuchProcess):
                resident.append(process.memory_info().rss / 1e6)
        return Sample(
            at_s=round(world.now(), 3),
            fault=fault,
            ready=ready,
            unready=unready,
            arrived={camera: metrics.total(ARRIVED, camera=camera) for camera in world.cameras},
            fates={camera: metrics.by(FRAMES, "fate", camera=camera) for camera in world.cameras},
            events=metrics.total(EVENTS),
            reconnects={camera: metrics.total(RECONNECTS, camera=camera) for camera in world.cameras},
            restarts=metrics.total(RESTARTS),
            published=len(world.subscriber.events),
            posted=len(world.webhook.events),
            memory_mb=round(sum(resident), 3),
            main_mb=round(resident[0], 3),
            threads=main.num_threads(),
            files=main.num_fds(),
        )
