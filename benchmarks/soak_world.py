"""Everything around the service in a soak: cameras, broker, webhook, disk, and the service itself."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import onnx

sys.path.append(str(Path(__file__).parent.parent))  # the servers are those of the tests

from tests.cameras import CameraServer, Kind, SceneClock, encode_all, write_zones
from tests.faulty_model import faulty_block_finder
from tests.receivers import Broker, Subscriber, WebhookReceiver, free_port
from tests.service_process import ServiceProcess

__all__ = ["CAMERAS", "DEVICE", "HANG_S", "READY_S", "World", "camera_lines", "open_world"]

DEVICE = "soak"
CAMERAS: Mapping[str, Kind] = {"jpeg-1": "mjpeg", "jpeg-2": "mjpeg", "h264-1": "h264", "h264-2": "h264"}
READY_S, SILENT_S, FROZEN_S, HANG_S = 2.0, 2.0, 3.0, 2.0
DISK_MB, FREE_MB = 96, 16.0

_CONFIG = """
name = "{device}"
state = "{state}"
[models.block]
file = "{model}"
hang_s = {hang_s}
threads = 1
[web]
port = {web_port}
[mqtt]
host = "127.0.0.1"
port = {mqtt_port}
[[webhooks]]
url = "{webhook}"
timeout_s = 2
[clips]
events = ["enter"]
before_s = 1
after_s = 1
budget_mb = 16
[health]
ready_s = {ready_s}
free_mb = {free_mb}
"""


@dataclass(frozen=True)
class World:
    """What a soak acts on.

    Attributes:
        clock: Clock of the scene of all cameras.
        cameras: Servers by name of the camera.
        broker: The broker.
        subscriber: Events that came through the broker.
        webhook: Events that were posted.
        disk: Disk of the service's state.
        service: The service.
        wall_zero: Unix time in seconds of the first picture of the scene.
    """

    clock: SceneClock
    cameras: dict[str, CameraServer]
    broker: Broker
    subscriber: Subscriber
    webhook: WebhookReceiver
    disk: Disk
    service: ServiceProcess
    wall_zero: float

    def now(self) -> float:
        """Seconds since the first picture of the scene."""
        return time.monotonic() - self.clock.began_at


class Disk:
    """Small disk of its own, that can be filled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filling = folder / "filling"

    def fill(self) -> None:
        """Leave less than the service's floor."""
        with self._filling.open("wb") as file:
            file.write(bytes(1 << 20) * (DISK_MB - round(FREE_MB / 2) - self._used_mb()))

    def free(self) -> None:
        """Remove what fills it."""
        self._filling.unlink(missing_ok=True)

    def _used_mb(self) -> int:
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file()) // (1 << 20)


@contextmanager
def open_world(folder: Path) -> Iterator[World]:
    """Start everything in a folder, and wait until the service is ready."""
    encode_all()
    model = folder / "block.onnx"
    onnx.save(faulty_block_finder(), str(model))
    with ExitStack() as opened:
        state = opened.enter_context(_small_disk(folder / "state"))
        clock = SceneClock()
        cameras = {name: opened.enter_context(CameraServer(kind, clock)) for name, kind in CAMERAS.items()}
        broker = opened.enter_context(Broker(_made(folder / "broker")))
        subscriber = opened.enter_context(Subscriber(broker.port, f"edgeloop/{DEVICE}/+/events"))
        webhook = opened.enter_context(WebhookReceiver())
        config, web_port = folder / "edgeloop.toml", free_port()
        zones = write_zones(folder / "zones.json")
        config.write_text(
            _CONFIG.format(
                device=DEVICE,
                state=state,
                model=model,
                web_port=web_port,
                mqtt_port=broker.port,
                webhook=webhook.url,
                hang_s=HANG_S,
                ready_s=READY_S,
                free_mb=FREE_MB,
            )
            + camera_lines(cameras, zones, f"silent_s = {SILENT_S}\nfrozen_s = {FROZEN_S}\n")
        )
        service = opened.enter_context(ServiceProcess(config, port=web_port))
        wall_zero = time.time() - (time.monotonic() - clock.began_at)
        world = World(clock, cameras, broker, subscriber, webhook, Disk(state), service, wall_zero)
        service.wait(lambda: service.ready()[0] == 200, timeout_s=60)
        yield world


def camera_lines(cameras: Mapping[str, CameraServer], zones: Path, more: str = "") -> str:
    """Write the part of a configuration that names the cameras."""
    return "".join(
        f'[cameras.{name}]\nsource = "{camera.url}"\nzones = "{zones}"\n{more}'
        for name, camera in cameras.items()
    )


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


@contextmanager
def _small_disk(folder: Path) -> Iterator[Path]:
    """Mount a small disk in memory, which needs root."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
