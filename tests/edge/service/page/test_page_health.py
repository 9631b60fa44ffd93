"""Health: each fault is named with its reason, and gone once it is over."""

from __future__ import annotations

import json
import os
import socket
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from edgeloop.edge.loop.meter import Meter
from edgeloop.edge.loop.stream import Stream
from edgeloop.edge.service.board import Board, CameraState, ModelState
from edgeloop.edge.service.page.health import Health
from edgeloop.edge.sources.iterable import ImageIterable
from tests.edge.service.page.page_service import Running, config_of, running
from tests.waiting import until


def readiness(service: Running) -> tuple[int, dict[str, Any]]:
    status, _, said = service.ask("GET", "readyz")
    return status, json.loads(said)


def is_ready(service: Running) -> bool:
    return readiness(service)[0] == 200


def test_all_is_well(service: Running) -> None:
    assert service.ask("GET", "healthz")[::2] == (200, b"ok\n")
    until(lambda: is_ready(service))
    assert [service.ask("HEAD", path)[::2] for path in ("healthz", "readyz")] == [(200, b"")] * 2
    found = readiness(service)[1]
    assert (found["ready"], found["failing"]) == (True, [])
    assert [(check["kind"], check["name"]) for check in found["checks"]][:3] == [
        ("camera", "belt"),
        ("camera", "door"),
        ("model", "block"),
    ]


def test_a_camera_without_frames_is_named_until_they_come_again(service: Running) -> None:
    service.cameras["door"].on.clear()
    until(lambda: not is_ready(service))
    status, found = readiness(service)
    (fault,) = found["failing"]
    assert (status, fault["kind"], fault["name"], fault["ok"]) == (503, "camera", "door", False)
    assert "no frame" in fault["reason"]
    assert fault["for_s"] >= 1.0
    assert fault["since"].endswith("+00:00")
    assert service.ask("GET", "healthz")[0] == 200
    service.cameras["door"].on.set()
    until(lambda: is_ready(service))


def test_frames_without_a_result_are_a_fault(service: Running) -> None:
    state = service.board.cameras["belt"]
    sinks = state.stream.sinks

    class Broken:
        def write(self, _result: object) -> None:
            raise RuntimeError("the disk is on fire")

        def close(self) -> None:
            pass

    sinks.insert(0, Broken())
    until(lambda: not is_ready(service))
    (fault,) = readiness(service)[1]["failing"]
    assert fault["reason"] == "frames arrive, but no result (the disk is on fire)"
    del sinks[0]
    until(lambda: is_ready(service))


def test_footage_is_ready_as_a_camera_is(block_model: Path, tmp_path: Path) -> None:
    board = Board("device")
    stream = Stream(ImageIterable([]), Meter(["block"]))
    state = board.cameras["belt"] = CameraState("belt", "block", stream)
    health = Health(config_of(block_model, tmp_path, "belt"), board)
    assert health.readiness().failing[0].reason == "no frame yet"
    stream.failed = 3
    state.captured_at = state.result_at = time.monotonic()
    assert health.readiness().ready
    assert state.link.arrived == 3


@pytest.mark.parametrize("status", ["starting", "restarting", "degraded"])
def test_a_model_that_does_not_answer_is_a_fault(block_model: Path, tmp_path: Path, status: Any) -> None:
    board = Board("device")
    model = board.models["block"] = ModelState("block", status, "no answer for 10 s")
    health = Health(config_of(block_model, tmp_path, "belt"), board)
    (fault,) = health.readiness().failing
    assert (fault.kind, fault.reason) == ("model", f"{status}: no answer for 10 s")
    model.status, model.reason = "ok", ""
    assert health.readiness().ready


def test_a_full_disk_is_a_fault(block_model: Path, tmp_path: Path) -> None:
    config = config_of(block_model, tmp_path / "page", "belt", health={"free_mb": 1e8})
    board = Board("device")
    (fault,) = Health(config, board).readiness().failing
    assert (fault.kind, fault.name) == ("disk", str(tmp_path / "page" / "state"))
    assert fault.reason.endswith("MB free, expected at least 100000000")


def test_a_fault_lasts_since_it_was_first_seen(block_model: Path, tmp_path: Path) -> None:
    board = Board("device")
    board.models["block"] = ModelState("block", "degraded")
    health = Health(config_of(block_model, tmp_path, "belt"), board)
    first = health.readiness().failing[0].for_s
    time.sleep(0.15)
    assert (first, health.readiness().failing[0].for_s) == (0.0, pytest.approx(0.15, abs=0.1))
    board.models["block"].status = "ok"
    assert health.readiness().ready


def test_a_supervisor_that_hangs_is_no_healthy_process(block_model: Path, tmp_path: Path) -> None:
    board = Board("device")
    health = Health(config_of(block_model, tmp_path, "belt"), board)
    assert health.alive()
    board.supervised_at -= 6.0
    assert not health.alive()


def test_a_disk_that_hangs_leaves_the_process_healthy(block_model: Path, tmp_path: Path) -> None:
    config = config_of(block_model, tmp_path, "belt", clips={"events": ["enter"]})
    hanging = config.state / "clips" / "20260101-000000-000_belt_enter_00000000.json"
    hanging.parent.mkdir(parents=True)
    os.mkfifo(hanging)  # whoever reads it waits
    with running(config) as service, ExitStack() as opened:
        parts = urlsplit(service.url)
        for _ in range(60):
            asking = opened.enter_context(socket.create_connection((parts.hostname, parts.port)))
            asking.sendall(f"GET /api/newest HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode())
        asked_at = time.monotonic()
        assert service.ask("GET", "healthz")[0] == 200
        assert time.monotonic() - asked_at < 10  # the disk hangs until the end of the test
        writer = os.open(hanging, os.O_WRONLY)
        hanging.unlink()
        os.close(writer)
