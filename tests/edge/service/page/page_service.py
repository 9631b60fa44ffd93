"""Service in this process whose cameras are under the control of a test."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgeloop.edge.service import service as service_module
from edgeloop.edge.service.board import Board
from edgeloop.edge.service.service import run_service
from edgeloop.edge.service.service_config import ServiceConfig
from edgeloop.edge.service.service_part import ServicePart
from edgeloop.edge.sources.live import LiveSource
from edgeloop.edge.web.server import LOOPBACK, open_port
from tests.blocks import draw_block
from tests.served import Served
from tests.waiting import until

FPS = 20.0
ZONES = {"zones": [{"name": "yard", "polygon": [[40, 20], [110, 20], [110, 110], [40, 110]]}]}


class BlockCamera(LiveSource):
    """Camera that shows the block move to the right and begin anew, while `on` is set.

    With `noise` set it shows noise of 640x480, whose pictures are large.
    """

    def __init__(self, name: str) -> None:
        self.on, self.noise = threading.Event(), threading.Event()
        self.on.set()
        super().__init__(name, self._show(), fps=FPS)

    def _show(self) -> Generator[NDArray[np.uint8], None, None]:
        random = np.random.default_rng(1)
        index = 0
        while True:
            while not self.on.wait(0.05):
                if self.stopped:
                    return
            noise = self.noise.is_set()
            yield random.integers(0, 255, (480, 640, 3), np.uint8) if noise else draw_block(index % 50)
            index += 1
            time.sleep(1 / FPS)


class Control(ServicePart):
    """Part of the service that puts cameras under the control of a test in place of those it opened."""

    def __init__(self, _config: ServiceConfig, board: Board) -> None:
        self.board = board
        self.cameras = {name: BlockCamera(name) for name in board.cameras}
        self.started = threading.Event()
        for name, state in board.cameras.items():
            state.stream.source = self.cameras[name]

    def start(self) -> None:
        self.started.set()


@dataclass(frozen=True)
class Running(Served):
    """Service that runs.

    Attributes:
        board: Its state.
        cameras: Its cameras by name.
        folder: Folder of its state folder.
    """

    board: Board
    cameras: dict[str, BlockCamera]
    folder: Path


@contextmanager
def running(config: ServiceConfig) -> Iterator[Running]:
    """Run a service in a thread until each camera gave a result."""
    made: list[Control] = []

    def control(settings: ServiceConfig, board: Board) -> Control:
        made.append(Control(settings, board))
        return made[0]

    with pytest.MonkeyPatch.context() as patched:
        # Signals can be handled in the main thread only.
        patched.setattr(service_module, "stopped_by_signals", lambda _: nullcontext())
        thread = threading.Thread(target=run_service, args=(config, [control]), daemon=True)
        thread.start()
        until(lambda: made and made[0].started.is_set())
        try:
            until(lambda: all(state.result_at for state in made[0].board.cameras.values()))
            url = f"http://{LOOPBACK}:{config.web.port}/"
            yield Running(url, made[0].board, made[0].cameras, config.state.parent)
        finally:
            for camera in made[0].cameras.values():
                camera.stop()
            thread.join(timeout=10)


def config_of(model: Path, folder: Path, *cameras: str, **sections: Any) -> ServiceConfig:
    """Configuration of cameras with one zone that share a model, on a port that is free."""
    folder.mkdir(parents=True, exist_ok=True)
    zones = folder / "zones.json"
    zones.write_text(json.dumps(ZONES))
    with open_port(LOOPBACK, None) as opened:
        port = opened.getsockname()[1]
    camera = {"source": "synth:conveyor?fps=5&size=160x120", "zones": zones}
    values = {
        "name": "device",
        "state": folder / "state",
        "models": {"block": {"file": model, "threads": 1}},
        "cameras": dict.fromkeys(cameras, camera),
        "web": {"port": port},
        "health": {"ready_s": 1.0, "free_mb": 0},
    }
    return ServiceConfig.model_validate(values | sections)
