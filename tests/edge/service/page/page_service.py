"""Page of cameras and a model in this process, whose cameras are under the control of a test."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.loop.open_stream import open_stream
from edgeloop.edge.runtime.detector import Detector
from edgeloop.edge.service.board import Board, CameraState, ModelState
from edgeloop.edge.service.page.page_part import Page
from edgeloop.edge.service.service import _EventSource, _note_failure, _note_result, _start_loops
from edgeloop.edge.service.service_config import ServiceConfig
from edgeloop.edge.sources.live import LiveSource
from edgeloop.edge.tracking import ZoneCounter
from edgeloop.edge.tracking.zone_file import Zone, ZoneFile
from tests.blocks import draw_block
from tests.served import Served

FPS = 20.0
ZONES = ZoneFile(
    zones=[Zone(name="yard", polygon=[(40.0, 20.0), (110.0, 20.0), (110.0, 110.0), (40.0, 110.0)])]
)


class BlockCamera(LiveSource):
    """Camera that shows the block move to the right and begin anew, while `on` is set."""

    def __init__(self, name: str, fps: float = FPS) -> None:
        self.on = threading.Event()
        self.on.set()
        super().__init__(name, self._images(), fps=fps)

    def _images(self) -> Generator[NDArray[np.uint8], None, None]:
        index = 0
        while True:
            while not self.on.wait(0.05):
                if self.stopped:
                    return
            yield draw_block(index % 50)
            index += 1
            time.sleep(1 / FPS)


@dataclass(frozen=True)
class Running(Served):
    """Page that is being served.

    Attributes:
        board: State that it shows.
        cameras: Its cameras by name.
        page: The part of the service.
    """

    board: Board
    cameras: dict[str, BlockCamera]
    page: Page


@contextmanager
def page_of(config: ServiceConfig) -> Iterator[Running]:
    """Serve the page of the cameras of a configuration, all with block detectors and one zone."""
    board = Board(config.name)
    file = next(iter(config.models.values())).file
    assert file is not None
    detector = Detector(file, live=True)
    board.models["block"] = ModelState("block", status="ok", digest="ab" * 32, file=str(file), provider="cpu")
    cameras = {name: BlockCamera(name) for name in config.cameras}
    for name, camera in cameras.items():
        zones = ZoneCounter(ZONES, detector.names, "zones")
        board.cameras[name] = CameraState(name, "block", open_stream(camera, detector, zones=zones))
    page = Page(config, board)
    for state in board.cameras.values():
        state.stream.on_failure = partial(_note_failure, state)
        state.stream.sinks += [_EventSource(state, detector.names, [page._listen]), *page.sinks(state)]
        state.stream.on_result = partial(_note_result, state)
    stopped = threading.Event()
    beat = threading.Thread(target=_supervise, args=(board, stopped), daemon=True)
    page.start()
    loops = list(_start_loops(board, {"block": detector}))
    beat.start()
    try:
        yield Running(page.url, board, cameras, page)
    finally:
        stopped.set()
        for camera in cameras.values():
            camera.stop()
        for thread in (*loops, beat):
            thread.join(timeout=5)
        page.close()
        for camera in cameras.values():
            camera.close()


def config_of(model: Path, state: Path, *cameras: str, **sections: object) -> ServiceConfig:
    """Configuration of cameras that share a model, on any free port."""
    values = {
        "name": "device",
        "state": state,
        "models": {"block": {"file": model}},
        "cameras": {name: {"source": "0"} for name in cameras},
        "web": {"port": 0},
        **sections,
    }
    return ServiceConfig.model_validate(values)


def _supervise(board: Board, stopped: threading.Event) -> None:
    while not stopped.wait(0.1):
        board.supervised_at = time.monotonic()
