"""The service under systemd: ready, status, watchdog, stopping."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgeloop.edge.frame import Frame
from edgeloop.edge.loop.meter import Meter
from edgeloop.edge.loop.stream import Stream
from edgeloop.edge.result import Result, Timings
from edgeloop.edge.service.board import Board, CameraState, ModelState
from edgeloop.edge.service.service_config import ServiceConfig
from edgeloop.edge.service.systemd import longer_start
from edgeloop.edge.service.systemd.loop_watch import LoopWatch
from edgeloop.edge.service.systemd.notify import notify, watchdog_s
from edgeloop.edge.service.systemd.systemd_part import SystemdPart
from edgeloop.edge.sources import LivePolicy, open_source
from edgeloop.models.detections import Detections


class Systemd:
    """The socket of systemd, and what came there."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.settimeout(5.0)

    def next(self) -> str:
        return self.socket.recv(4096).decode()

    def wait_for(self, wanted: str, most: int = 100) -> list[str]:
        """Messages up to the wanted one."""
        came: list[str] = []
        while not any(text.startswith(wanted) for text in came):
            assert len(came) < most, came
            came.append(self.next())
        return came


@pytest.fixture(params=["path", "abstract"])
def systemd(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Systemd]:
    name = f"@edgeloop-{os.getpid()}" if request.param == "abstract" else str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", name)
    bound = Systemd(name.replace("@", "\0", 1))
    yield bound
    bound.socket.close()


def answered(index: int) -> Result:
    frame = Frame(np.zeros((4, 4, 3), np.uint8), index, time.monotonic(), time.time(), "belt")
    return Result(frame, Detections.empty(), Timings(1.0, {"infer": 1.0}))


@pytest.fixture
def camera() -> Iterator[CameraState]:
    """A camera at 50 frames per second, which no loop takes frames of."""
    source = open_source("synth:conveyor?seed=1&fps=50&size=160x120", LivePolicy())
    yield CameraState("belt", "parts", Stream(source, Meter(["block"])))
    source.close()


def give_frames(camera: CameraState) -> None:
    source = camera.stream.source
    assert hasattr(source, "start")
    source.start(threading.Event())
    while camera.link.arrived == 0:
        time.sleep(0.01)


def test_nothing_is_told_without_systemd(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert not notify("READY=1")
    for nowhere in ("", "vsock:2:1234", str(tmp_path / "missing")):
        monkeypatch.setenv("NOTIFY_SOCKET", nowhere)
        assert not notify("READY=1")


def test_lines_are_one_datagram(systemd: Systemd) -> None:
    assert notify("READY=1", "STATUS=fine")
    assert systemd.next() == "READY=1\nSTATUS=fine"


@pytest.mark.parametrize(
    ("usec", "pid", "seconds"),
    [
        ("30000000", None, 30.0),
        ("30000000", "1", None),
        ("no", None, None),
        ("0", None, None),
        (None, None, None),
    ],
)
def test_the_watchdog_of_the_environment(
    usec: str | None, pid: str | None, seconds: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("WATCHDOG_USEC", usec), ("WATCHDOG_PID", pid)):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    assert watchdog_s() == seconds


def test_a_camera_that_gives_no_frame_is_no_trouble(camera: CameraState) -> None:
    watch = LoopWatch({"belt": camera}, {"parts": 5.0}, 0.0)
    assert [watch.trouble(now) for now in (1.0, 100.0, 10000.0)] == ["", "", ""]


def test_a_frame_without_its_turn_is_trouble(camera: CameraState) -> None:
    began_at = time.monotonic()
    watch = LoopWatch({"belt": camera}, {"parts": 5.0}, began_at)
    give_frames(camera)
    assert watch.trouble(began_at + 1) == ""
    assert watch.trouble(began_at + 20) == ""
    assert watch.trouble(began_at + 22) == "no frame of belt has its turn"
    camera.stream.meter.add(answered(0))
    assert watch.trouble(began_at + 23) == ""


def test_a_frame_that_fails_has_had_its_turn(camera: CameraState) -> None:
    began_at = time.monotonic()
    watch = LoopWatch({"belt": camera}, {"parts": 5.0}, began_at)
    give_frames(camera)
    for second in range(0, 900, 10):
        camera.stream.failed += 1
        assert watch.trouble(began_at + second) == ""
    camera.stream.failed += 1
    assert watch.trouble(began_at + 910) == "every frame fails for 15 minutes"
    camera.stream.meter.add(answered(0))
    assert watch.trouble(began_at + 911) == ""


def test_the_part_feeds_the_watchdog_while_all_is_well(
    systemd: Systemd, camera: CameraState, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "200000")
    board = Board("device")
    board.cameras["belt"], board.models["parts"] = camera, ModelState("parts", "ok")
    config = ServiceConfig.model_validate(
        {"state": tmp_path, "cameras": {"belt": {"source": "0"}}, "models": {"parts": {"file": "a.onnx"}}}
    )
    part = SystemdPart(config, board)
    part.start()
    try:
        first = systemd.wait_for("WATCHDOG=1")
        assert "STATUS=frames of 0 of 1 cameras go through; camera belt: waiting" in first
        assert "READY=1" not in first
        camera.result_at = time.monotonic()
        board.models["parts"].status = "degraded"
        came = systemd.wait_for("STATUS=")
        assert "READY=1" in came
        assert came[-1] == "STATUS=frames of 1 of 1 cameras go through; model parts: degraded"
    finally:
        part.close()
    systemd.wait_for("STOPPING=1")


def test_systemd_is_asked_for_time_while_the_models_load(
    systemd: Systemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(longer_start, "_ASK_S", 0.05)
    with longer_start.longer_start():
        assert systemd.next() == systemd.next() == "EXTEND_TIMEOUT_USEC=60000000"


@pytest.mark.slow
@pytest.mark.parametrize("systemd", ["path"], indirect=True)
def test_the_service_under_systemd(systemd: Systemd, block_model: Path, tmp_path: Path) -> None:
    (tmp_path / "edgeloop.toml").write_text(
        f'state = "state"\n[web]\nport = 0\n[models.parts]\nfile = "{block_model}"\nthreads = 1\n'
        '[cameras.belt]\nsource = "synth:conveyor?seed=1&fps=10&size=320x240"\n'
    )
    path = os.pathsep.join(sys.path)
    with subprocess.Popen(
        [sys.executable, "-m", "edgeloop", "serve", "edgeloop.toml"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path, "WATCHDOG_USEC": "1000000"},
        stderr=subprocess.PIPE,
    ) as service:
        try:
            assert systemd.wait_for("READY=1")[0].startswith("EXTEND_TIMEOUT_USEC=")
            systemd.wait_for("WATCHDOG=1")
        finally:
            service.send_signal(signal.SIGTERM)
        systemd.wait_for("STOPPING=1")
        assert service.stderr is not None
        assert service.wait(10) == 0, service.stderr.read()
