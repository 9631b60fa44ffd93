"""The service with everything around it: cameras, broker, webhook and disk. For tests and the soak."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import onnx

from tests.cameras import CameraServer, Kind, SceneClock, encode_all, write_zones
from tests.faulty_models import faulty_block_finder
from tests.receivers import Broker, Subscriber, WebhookReceiver, free_port
from tests.service_process import ServiceProcess

DEVICE = "device"
DISK_MB, FREE_MB = 96, 16.0


@dataclass(frozen=True)
class Limits:
    """Limits in seconds after which the service takes something for a fault."""

    ready_s: float = 2.0
    silent_s: float = 2.0
    frozen_s: float = 3.0
    hang_s: float = 2.0


@dataclass(frozen=True)
class World:
    """The service, and what faults act on.

    Attributes:
        limits: Limits of the service.
        clock: Clock of the scene of all cameras.
        cameras: Servers by name of the camera.
        broker: The broker.
        subscriber: Events that came through the broker.
        webhook: Events that were posted.
        disk: Disk of the service's state; None if it is that of everybody.
        service: The service.
        wall_zero: Unix time in seconds of the first picture of the scene.
    """

    limits: Limits
    clock: SceneClock
    cameras: dict[str, CameraServer]
    broker: Broker
    subscriber: Subscriber
    webhook: WebhookReceiver
    disk: SmallDisk | None
    service: ServiceProcess
    wall_zero: float

    def now(self) -> float:
        """Seconds since the first picture of the scene."""
        return time.monotonic() - self.clock.began_at


class SmallDisk:
    """Small disk of its own in memory, that can be filled. Mounting it needs root."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._filling = folder, folder / "filling"

    def __enter__(self) -> SmallDisk:
        command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(self._folder)]
        subprocess.run(command, check=True)
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run(["umount", "-l", str(self._folder)], check=True)

    def fill(self) -> None:
        """Leave less than the service's floor."""
        used = sum(path.stat().st_size for path in self._folder.rglob("*") if path.is_file())
        self._filling.write_bytes(bytes(round((DISK_MB - FREE_MB / 2) * (1 << 20)) - used))

    def free(self) -> None:
        """Remove what fills it."""
        self._filling.unlink(missing_ok=True)


@contextmanager
def open_world(
    folder: Path,
    kinds: Mapping[str, Kind],
    limits: Limits | None = None,
    *,
    fps: float = 10.0,
    small_disk: bool = False,
) -> Iterator[World]:
    """Start everything in a folder, and wait until the service is ready.

    Args:
        folder: Empty folder.
        kinds: Cameras by name.
        limits: Limits of the service; None for those of the soak.
        fps: Frames per second of each camera.
        small_disk: Give the service's state a disk of its own.
    """
    encode_all()
    onnx.save(faulty_block_finder(), str(folder / "block.onnx"))
    limits = limits or Limits()
    state, broker_folder, web_port = folder / "state", folder / "broker", free_port()
    for made in (state, broker_folder):
        made.mkdir()
    with ExitStack() as opened:
        disk = opened.enter_context(SmallDisk(state)) if small_disk else None
        clock = SceneClock(fps)
        cameras = {name: opened.enter_context(CameraServer(kind, clock)) for name, kind in kinds.items()}
        broker = opened.enter_context(Broker(broker_folder, persistent=True))
        subscriber = opened.enter_context(Subscriber(broker.port, f"edgeloop/{DEVICE}/+/events"))
        webhook = opened.enter_context(WebhookReceiver())
        config = folder / "edgeloop.toml"
        text = f"""
name = "{DEVICE}"
state = "{state}"
[models.block]
file = "{folder}/block.onnx"
hang_s = {limits.hang_s}
threads = 1
[web]
port = {web_port}
[mqtt]
host = "127.0.0.1"
port = {broker.port}
[[webhooks]]
url = "{webhook.url}"
timeout_s = 2
[clips]
events = ["enter"]
before_s = 1
after_s = 1
budget_mb = 4
[health]
ready_s = {limits.ready_s}
free_mb = {FREE_MB}
"""
        more = f"silent_s = {limits.silent_s}\nfrozen_s = {limits.frozen_s}\n"
        config.write_text(text + camera_lines(cameras, write_zones(folder / "zones.json"), more))
        config.chmod(0o600)
        service = opened.enter_context(ServiceProcess(config, port=web_port))
        wall_zero = time.time() - (time.monotonic() - clock.began_at)
        service.wait(lambda: service.ready()[0] == 200, timeout_s=60)
        yield World(limits, clock, cameras, broker, subscriber, webhook, disk, service, wall_zero)


def camera_lines(cameras: Mapping[str, CameraServer], zones: Path, more: str = "") -> str:
    """Write the part of a configuration that names the cameras."""
    return "".join(
        f'[cameras.{name}]\nsource = "{camera.url}"\nzones = "{zones}"\n{more}'
        for name, camera in cameras.items()
    )
