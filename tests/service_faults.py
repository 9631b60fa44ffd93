"""The twelve faults that the service survives: how each begins and ends, and what it must say of them."""

from __future__ import annotations

import os
import re
import signal
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from tests.cameras import Marker, Mode
from tests.service_process import Metrics
from tests.service_world import World

JUMP_S = 400 * 86400.0
"""Seconds by which the wall clock jumps: so many that no event of then has the time of another one."""

ARRIVED, FRAMES = "edgeloop_camera_frames_arrived_total", "edgeloop_camera_frames_total"
LOUD = ("warning", "error", "critical", "raw")

Action = Callable[[World, str], object]
Subject = Literal["camera", "model", "disk", "mqtt", "webhook", "picture", "clock"]


@dataclass(frozen=True)
class Variant:
    """One way in which a fault happens.

    Attributes:
        begin: Begins it, at the camera that is named.
        end: Ends it.
        lasts_s: Gives the time in seconds after which it has ended by itself; None if it lasts until its end.
    """

    begin: Action
    end: Action
    lasts_s: Callable[[World], float] | None = None


@dataclass(frozen=True)
class Fault:
    """One kind of fault.

    Attributes:
        name: Name in the tables.
        subject: What it happens to. The log must say loss and return, but for a picture and the clock.
        unready: True if /readyz must be 503 meanwhile, False if it must stay 200; None if either is right.
        variants: Ways in which it happens, in turn.
    """

    name: str
    subject: Subject
    unready: bool | None
    variants: Sequence[Variant]

    def word(self, camera: str) -> str:
        """Name of its subject in the log and in /readyz, if it happens to a camera."""
        return camera if self.subject in ("camera", "picture") else self.subject

    def log_pattern(self, camera: str) -> str:
        """Pattern of its lines in the log; each who writes to a disk says for itself that it is full."""
        return r"^(?:clips|spool)\b" if self.subject == "disk" else re.escape(self.word(camera))

    def touched(self, world: World, camera: str) -> Sequence[str]:
        """Names of the cameras whose frames it concerns, if it happens to a camera."""
        everybody = self.subject in ("model", "clock")
        return list(world.cameras) if everybody else [camera][: self.word(camera) == camera]


def lines_about(world: World, pattern: str, since_s: float, until_s: float) -> list[str]:
    """Warnings in the log in which a pattern occurs, between two times of the scene."""
    return [
        line.message
        for line in world.service.log
        if since_s <= line.at - world.clock.began_at <= until_s
        and line.level in LOUD
        and re.search(pattern, line.message)
    ]


def watch_recovery(world: World, fault: Fault, camera: str) -> Callable[[], bool]:
    """Make a function that tells whether everything works again after a fault that has just ended.

    That is: /readyz is 200, a frame of each camera that was touched went through since, and nothing waits for
    the broker or the webhook.
    """
    before = world.service.metrics()

    def is_back() -> bool:
        metrics = world.service.metrics()
        waiting = {
            "mqtt": metrics.one("edgeloop_mqtt_spooled") + 1 - metrics.one("edgeloop_mqtt_connected"),
            "webhook": metrics.one("edgeloop_webhook_spooled"),
        }
        return (
            world.service.ready()[0] == 200
            and waiting.get(fault.subject, 0) == 0
            and all(
                processed(metrics, name) > processed(before, name) for name in fault.touched(world, camera)
            )
        )

    return is_back


def processed(metrics: Metrics, camera: str) -> float:
    """Number of frames of a camera that went through."""
    return metrics.total(FRAMES, camera=camera, fate="processed")


def in_hand(metrics: Metrics, camera: str) -> float:
    """Number of frames of a camera that arrived and have no fate yet."""
    return metrics.total(ARRIVED, camera=camera) - metrics.total(FRAMES, camera=camera)


def _mode(mode: Mode) -> Action:
    return lambda world, camera: setattr(world.cameras[camera], "mode", mode)


def _marker(marker: Marker) -> Action:
    return lambda world, camera: setattr(world.cameras[camera], "marker", marker)


def _webhook_status(status: int) -> Action:
    return lambda world, _: setattr(world.webhook, "status", status)


def _jump(seconds: float) -> Action:
    return lambda world, _: world.service.wall_offset.write_text(str(seconds))


def _signal_worker(number: int) -> Action:
    def act(world: World, _camera: str) -> None:
        for worker in world.service.workers():
            with suppress(ProcessLookupError):
                os.kill(worker.pid, number)

    return act


def _show_hang(world: World, camera: str) -> None:
    """Show what the model hangs at until a frame with it has arrived; it hangs until it is ended."""
    _marker("hang")(world, camera)
    threading.Timer(world.limits.hang_s / 2, _marker("none"), (world, camera)).start()


def _fill(world: World, _camera: str) -> None:
    if world.disk is not None:
        world.disk.fill()


def _free(world: World, _camera: str) -> None:
    if world.disk is not None:
        world.disk.free()


def _nothing(_world: World, _camera: str) -> None:
    """End what ends by itself."""


def _of_pictures(mode: Mode) -> Sequence[Variant]:
    return (Variant(_mode(mode), _mode("ok")),)


def _patience(world: World) -> float:
    return world.limits.hang_s + 0.1


FAULTS = (
    Fault("camera silent", "camera", True, _of_pictures("silent")),
    Fault(
        "broker gone", "mqtt", False, [Variant(lambda w, _: w.broker.kill(), lambda w, _: w.broker.start())]
    ),
    Fault("camera frozen", "camera", True, _of_pictures("frozen")),
    Fault(
        "model hangs",
        "model",
        None,
        (
            Variant(_signal_worker(signal.SIGSTOP), _nothing, _patience),
            Variant(_show_hang, _nothing, _patience),
        ),
    ),
    Fault(
        "camera away",
        "camera",
        True,
        [Variant(lambda w, c: w.cameras[c].refuse(), lambda w, c: w.cameras[c].listen())],
    ),
    Fault("disk full", "disk", True, [Variant(_fill, _free)]),
    Fault("garbage in the stream", "camera", True, _of_pictures("garbage")),
    Fault(
        "webhook gone",
        "webhook",
        False,
        (
            Variant(lambda w, _: w.webhook.refuse(), lambda w, _: w.webhook.listen()),
            Variant(_webhook_status(500), _webhook_status(200)),
        ),
    ),
    Fault("picture size changes", "picture", False, _of_pictures("resized")),
    Fault(
        "wall clock jumps",
        "clock",
        False,
        (Variant(_jump(JUMP_S), _jump(0)), Variant(_jump(-JUMP_S), _jump(0))),
    ),
    Fault("output is NaN", "camera", True, [Variant(_marker("nan"), _marker("none"))]),
    Fault("worker killed", "model", None, [Variant(_signal_worker(signal.SIGKILL), _nothing, lambda _: 0.0)]),
)
