"""A camera with zones whose frames the test makes up, and the parts of the service that hear of them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.frame import Frame
from edgeloop.edge.loop.meter import Meter
from edgeloop.edge.loop.stream import Stream
from edgeloop.edge.result import Result, Sink, Timings
from edgeloop.edge.service.board import Board, CameraState
from edgeloop.edge.service.service_config import ServiceConfig
from edgeloop.edge.service.service_part import EventListener, ServicePart, make_event
from edgeloop.edge.sources.live import LiveSource
from edgeloop.edge.tracking import ZoneCounter, open_tracker, read_zones
from edgeloop.models.detections import Detections

__all__ = ["NAMES", "SIZE", "Rig"]

NAMES = ["car", "person", "left luggage (tæske)"]
SIZE = (320, 240)
ZONES = {
    "units": "pixels",
    "zones": [{"name": "yard", "polygon": [[0, 0], [160, 0], [160, 240], [0, 240]]}],
    "lines": [{"name": 'the "gate"', "from": [160, 0], "to": [160, 240], "classes": ["car"]}],
}


class Rig:
    """Cameras of a service without a model; `part` is what listens."""

    def __init__(self, folder: Path, cameras: Sequence[str] = ("door",), **settings: Any) -> None:
        zones = folder / "zones.json"
        zones.write_text(json.dumps(ZONES))
        self.config = ServiceConfig.model_validate(
            {
                "name": "hall",
                "state": folder / "state",
                "cameras": {name: {"source": "0", "zones": zones} for name in cameras},
                "models": {"parts": {"file": folder / "parts.onnx"}},
                "health": {"free_mb": 0},
                **settings,
            }
        )
        self.board = Board("hall")
        for name in cameras:
            source = LiveSource(name, _no_images(), fps=10)
            source.link.status = "open"
            stream = Stream(
                source,
                Meter(NAMES),
                tracker=open_tracker(fps=10, confidence=0.1),
                zones=ZoneCounter(read_zones(zones, NAMES), NAMES, str(zones)),
            )
            self.board.cameras[name] = CameraState(name, "parts", stream)
        self.image = np.full((SIZE[1], SIZE[0], 3), 90, np.uint8)
        self.ids: list[str] = []
        self._sinks: dict[str, Sequence[Sink]] = {}
        self._listeners: list[EventListener] = []
        self.stop: Callable[[], None] = lambda: None
        self._count = 0

    def start(self, part: ServicePart) -> None:
        """Connect a part as the service does, and start it."""
        for name, state in self.board.cameras.items():
            self._sinks[name] = part.sinks(state)
        if (listener := part.listener()) is not None:
            self._listeners = [listener]
        part.start()
        self.stop = part.close

    def see(self, *objects: tuple[int, int, int], camera: str = "door") -> None:
        """Make a frame in which objects (id, class, x of their center) are."""
        boxes = [[x - 10, 100, x + 10, 140] for _, _, x in objects]
        found = Detections(
            np.array(boxes, np.float32).reshape(-1, 4),
            np.full(len(objects), 0.9, np.float32),
            np.array([class_id for _, class_id, _ in objects], np.int64),
            np.array([tracker_id for tracker_id, _, _ in objects], np.int64),
        )
        zones = self.board.cameras[camera].stream.zones
        assert zones is not None
        self._count += 1
        events = zones.update(found, SIZE, self._count / 10)
        frame = Frame(self.image, self._count, time.monotonic(), time.time(), camera)
        result = Result(frame, found, Timings(1.0, {}), events)
        for sink in self._sinks[camera]:
            sink.write(result)
        for event in events:
            made = make_event(camera, result, event, NAMES)
            self.ids.append(made.id)
            for listen in self._listeners:
                listen(made)

    def walk(self, times: int) -> None:
        """Let a car cross the gate and come back: each time it enters, crosses, leaves and so on."""
        for _ in range(times):
            for x in (40, 280):
                self.see((7, 0, x))

    def figure(self, part: str, name: str) -> float:
        """Figure of a part."""
        return float(self.board.figures().get(part, {}).get(name, -1))


def _no_images() -> Generator[NDArray[np.uint8], None, None]:
    yield from ()
