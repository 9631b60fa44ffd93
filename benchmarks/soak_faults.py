"""The twelve faults of a soak: how each begins and ends, and what the service must say of it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from soak_world import HANG_S, World

from tests.cameras import Marker, Mode

__all__ = ["FAULTS", "Fault", "Injection", "Variant"]

JUMP_S = 400 * 86400.0
"""Seconds by which the wall clock jumps: so many that no event of then has the time of another one."""

Action = Callable[[World, str], object]
Subject = Literal["camera", "model", "disk", "mqtt", "webhook", "picture", "clock"]


@dataclass(frozen=True)
class Variant:
    """One way in which a fault happens.

    Attributes:
        begin: Begins it, at the camera that is named.
        end: Ends it.
        lasts_s: Time in seconds after which it has ended; None for that of the schedule.
    """

    begin: Action
    end: Action
    lasts_s: float | None = None


@dataclass(frozen=True)
class Fault:
    """One kind of fault.

    Attributes:
        name: Name in the table.
        subject: What it happens to. The log must say loss and return, but for a picture and the clock.
        variants: Ways in which it happens, in turn.
        unready: True if /readyz must be 503 meanwhile, False if it must stay 200; None if either is right.
    """

    name: str
    subject: Subject
    variants: Sequence[Variant]
    unready: bool | None


@dataclass(frozen=True)
class Injection:
    """Fault that happened. Times are seconds since the first picture of the scene.

    Attributes:
        fault: Kind of fault.
        camera: Camera that it happened to, if it does to one.
        began_s: Time of its begin.
        ended_s: Time of its end.
        over_s: Time when everything worked again.
        said: What /readyz said while it lasted, if it was not ready.
    """

    fault: Fault
    camera: str
    began_s: float
    ended_s: float
    over_s: float
    said: str

    @property
    def recovery_s(self) -> float:
        """Time from its end until everything worked again."""
        return self.over_s - self.ended_s

    @property
    def word(self) -> str:
        """Name of its subject in the log and in /readyz."""
        return self.camera if self.fault.subject in ("camera", "picture") else self.fault.subject

    def disturbs(self, camera: str) -> bool:
        """True if events of a camera may differ from those of its scene meanwhile."""
        return self.fault.subject in ("model", "clock") or self.word == camera

    def explains_reconnect(self, camera: str, at_s: float) -> bool:
        """True if a camera may connect again at a time because of it."""
        return (
            self.fault.subject == "camera"
            and self.camera == camera
            and self.began_s <= at_s <= self.over_s + 2
        )

    def __str__(self) -> str:
        return f"{self.began_s:.0f} s: {self.fault.name} ({self.word})"


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
    threading.Timer(HANG_S / 2, _marker("none"), (world, camera)).start()


def _nothing(_world: World, _camera: str) -> None:
    """End what ends by itself."""


def _of_pictures(mode: Mode) -> Sequence[Variant]:
    return (Variant(_mode(mode), _mode("ok")),)


FAULTS = (
    Fault("camera silent", "camera", _of_pictures("silent"), True),
    Fault(
        "broker gone", "mqtt", (Variant(lambda w, _: w.broker.kill(), lambda w, _: w.broker.start()),), False
    ),
    Fault("camera frozen", "camera", _of_pictures("frozen"), True),
    Fault(
        "model hangs",
        "model",
        (
            Variant(_signal_worker(signal.SIGSTOP), _nothing, HANG_S),
            Variant(_show_hang, _nothing, HANG_S + 0.1),
        ),
        None,
    ),
    Fault(
        "camera away",
        "camera",
        (Variant(lambda w, c: w.cameras[c].refuse(), lambda w, c: w.cameras[c].listen()),),
        True,
    ),
    Fault("disk full", "disk", (Variant(lambda w, _: w.disk.fill(), lambda w, _: w.disk.free()),), True),
    Fault("garbage in the stream", "camera", _of_pictures("garbage"), None),
    Fault(
        "webhook gone",
        "webhook",
        (
            Variant(lambda w, _: w.webhook.refuse(), lambda w, _: w.webhook.listen()),
            Variant(_webhook_status(500), _webhook_status(200)),
        ),
        False,
    ),
    Fault("picture size changes", "picture", _of_pictures("resized"), False),
    Fault(
        "wall clock jumps",
        "clock",
        (Variant(_jump(JUMP_S), _jump(0)), Variant(_jump(-JUMP_S), _jump(0))),
        False,
    ),
    Fault("output is NaN", "camera", (Variant(_marker("nan"), _marker("none")),), True),
    Fault("worker killed", "model", (Variant(_signal_worker(signal.SIGKILL), _nothing, 0.0),), None),
)
