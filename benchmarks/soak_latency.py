"""Latency of the service's loop with preview viewed, MQTT and metrics scraped, against none of them.

Periods of both take turns, each in a process of its own on the same cameras, so that whatever else the
machine does meanwhile disturbs both alike.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import numpy as np
import onnx

from edgeloop.edge.result import Result, Sink
from edgeloop.edge.service.board import Board, CameraState
from edgeloop.edge.service.config.config_file import read_config
from edgeloop.edge.service.service import run_service
from edgeloop.edge.service.service_config import ServiceConfig
from edgeloop.edge.service.service_part import ServicePart
from tests.cameras import CameraServer, Kind, SceneClock, encode_all, write_zones
from tests.faulty_models import faulty_block_finder
from tests.receivers import Broker, free_port
from tests.service_world import camera_lines

__all__ = ["compare_latency", "serve"]

PERIOD_S, LEAVE_OUT_S = 24.0, 8.0
TURNS = 1200
"""Work of the model for each frame, about 8 ms: as much as that of a small detector."""


class LatencyRecord(ServicePart, Sink):
    """Part of the service that keeps the latency of each frame, and writes all of them at the end."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._rows: list[tuple[float, float]] = []

    def sinks(self, _camera: CameraState) -> Sequence[Sink]:
        return [self]

    def write(self, result: Result) -> None:
        self._rows.append((time.monotonic(), result.timings.latency_ms))

    def close(self) -> None:
        np.save(self._file, np.array(self._rows).reshape(-1, 2))


def compare_latency(kinds: Mapping[str, Kind], pairs: int) -> tuple[list[float], list[float]]:
    """Measure latencies in milliseconds in pairs of periods, with everything on and with nothing on."""
    encode_all()
    latencies: dict[bool, list[float]] = {True: [], False: []}
    with tempfile.TemporaryDirectory() as name, ExitStack() as opened:
        folder = Path(name)
        onnx.save(faulty_block_finder(turns=TURNS), str(folder / "block.onnx"))
        clock = SceneClock()
        cameras = {camera: opened.enter_context(CameraServer(kind, clock)) for camera, kind in kinds.items()}
        broker = opened.enter_context(Broker(folder, persistent=True))
        zones = write_zones(folder / "zones.json")
        for pair in range(pairs):
            for full in (True, False) if pair % 2 else (False, True):
                port = free_port()
                text = (
                    f'state = "{folder}/state"\n[models.block]\nfile = "{folder}/block.onnx"\nthreads = 1\n'
                )
                text += f"[web]\nport = {port}\n" + camera_lines(cameras, zones)
                if full:
                    text += f'[mqtt]\nhost = "127.0.0.1"\nport = {broker.port}\n'
                config = folder / "edgeloop.toml"
                config.write_text(text)
                latencies[full] += _measure(config, port if full else None, kinds)
    return latencies[True], latencies[False]


def _measure(config: Path, port: int | None, cameras: Iterable[str]) -> list[float]:
    """Run the service for a period, with viewers and a scraper at its port if one is given."""
    file = config.with_suffix(".npy")
    began_at = time.monotonic()
    with ExitStack() as opened:
        code = f"import sys; sys.path[:] = {sys.path}; from soak_latency import serve; serve(*sys.argv[1:])"
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(config), str(file)], stderr=subprocess.DEVNULL
        )
        opened.callback(process.wait, 20)
        opened.callback(process.terminate)
        if port is not None:
            opened.enter_context(_watched(port, cameras))
        time.sleep(PERIOD_S)
    rows = np.load(file)
    return [float(latency_ms) for at, latency_ms in rows if at >= began_at + LEAVE_OUT_S]


@contextmanager
def _watched(port: int, cameras: Iterable[str]) -> Iterator[None]:
    """View every camera, and scrape the metrics once a second."""
    ended = threading.Event()

    def view(path: str) -> None:
        while not ended.wait(0.5):
            with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}{path}") as reply:
                while not ended.is_set() and reply.read(4096):
                    pass

    def scrape() -> None:
        while not ended.wait(1.0):
            with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as reply:
                reply.read()

    threading.Thread(target=scrape, daemon=True).start()
    for camera in cameras:
        threading.Thread(target=view, args=(f"/cameras/{camera}.mjpg",), daemon=True).start()
    yield
    ended.set()


def serve(config: str, file: str) -> None:
    """Run the service, and write its latencies to a file."""

    def record(_config: ServiceConfig, _board: Board) -> LatencyRecord:
        return LatencyRecord(Path(file))

    run_service(read_config(Path(config)), [record])
