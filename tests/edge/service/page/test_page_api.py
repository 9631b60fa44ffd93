"""API of the page: what it says, what it refuses, and files of events in ranges."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from edgeloop.edge.service.board import Board
from edgeloop.edge.service.clips.event_files import OWN_NAME
from edgeloop.edge.service.page.page_part import PagePart
from edgeloop.edge.service.service import run_service
from edgeloop.edge.web import server as server_module
from edgeloop.models.errors import UnavailableError
from tests.edge.service.page.page_service import Running, config_of, running
from tests.waiting import until

TOKEN = "a token of the test"


def newest(service: Running) -> list[dict[str, Any]]:
    return service.api("GET", "newest")


def test_the_state_is_told(service: Running) -> None:
    found = service.api("GET", "status")
    assert (found["device"], [each["name"] for each in found["cameras"]]) == ("device", ["belt", "door"])
    belt = found["cameras"][0]
    assert (belt["status"], belt["width"], belt["height"], belt["model"]) == ("open", 160, 120, "block")
    assert belt["latency_p50_ms"] <= belt["latency_p95_ms"]
    assert belt["fates"]["processed"] > 0
    assert found["models"][0]["name"] == "block"
    assert len(found["models"][0]["digest"]) == 64
    until(lambda: service.api("GET", "status")["cameras"][0]["fps"] > 5)


def test_connections_are_bounded(service: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "_MAX_CONNECTIONS", 10)
    parts = urlsplit(service.url)
    with ExitStack() as opened:
        idle = [
            opened.enter_context(socket.create_connection((parts.hostname, parts.port), timeout=5))
            for _ in range(25)
        ]
        for refused in idle[20:]:
            with suppress(ConnectionResetError):
                assert refused.recv(1) == b""
    until(lambda: service.ask("GET", "healthz")[0] == 200)


def test_open_pages_get_the_state_and_the_events(service: Running) -> None:
    parts = urlsplit(service.url)
    link = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    try:
        link.request("GET", "/api/events")
        reply = link.getresponse()
        assert reply.getheader("Content-Type", "").startswith("text/event-stream")
        seen: dict[str, Any] = {}
        kind = ""
        while not {"status", "event"} <= set(seen):
            line = reply.readline().decode().strip()
            if line.startswith("event: "):
                kind = line.removeprefix("event: ")
            elif line.startswith("data: "):
                seen[kind] = json.loads(line.removeprefix("data: "))
    finally:
        link.close()
    assert seen["status"]["device"] == "device"
    assert seen["event"]["place"] == "yard"


def test_pictures_of_events_are_sent_in_ranges(service: Running) -> None:
    until(lambda: any(each["picture"] for each in newest(service)))
    events = newest(service)
    assert [each["values"]["wall_time"] for each in events] == sorted(
        (each["values"]["wall_time"] for each in events), reverse=True
    )
    assert len({each["values"]["id"] for each in events}) == len(events)
    picture = next(each["picture"] for each in events if each["picture"])
    status, headers, whole = service.ask("GET", picture)
    assert (status, headers["content-type"], headers["accept-ranges"]) == (200, "image/jpeg", "bytes")
    assert whole.startswith(b"\xff\xd8")
    assert "immutable" in headers["cache-control"]
    values = service.ask("GET", picture.replace(".jpg", ".json"))[1]
    assert values["cache-control"] == "no-cache", "it is written again when the clip ends"
    status, headers, part = service.ask("GET", picture, Range="bytes=2-9")
    assert (status, part, headers["content-range"]) == (206, whole[2:10], f"bytes 2-9/{len(whole)}")
    assert service.ask("GET", picture, Range=f"bytes={len(whole)}-")[0] == 416
    assert service.ask("HEAD", picture)[::2] == (200, b"")
    assert service.ask("GET", picture, Range="bytes=" + ",".join(f"{n}-{n}" for n in range(3000)))[0] < 500


@pytest.mark.parametrize(
    "name",
    [
        *(
            "..%2fzones.json",
            "../zones.json",
            "%2e%2e%2fzones.json",
            "/etc/passwd",
            "%2fetc%2fpasswd",
            "",
            ".",
        ),
        *("20261129-135436-123_belt_enter_0.jpg", "%00", "20261129-135436-123_belt.mp4%00", "x" * 500),
    ],
)
def test_no_other_file_is_sent(service: Running, name: str) -> None:
    assert service.ask("GET", f"clips/{name}")[0] == 404


def test_a_connection_that_was_closed_with_the_end_of_a_large_file_is_forgotten(
    service: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(server_module, "_PATIENCE_S", 0.4)
    clip = service.folder / "state" / "clips" / "20260101-000000-000_belt_enter_00000000.mp4"
    clip.write_bytes(bytes(300_000))
    parts = urlsplit(service.url)
    with socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        reader.connect((parts.hostname, parts.port))
        lines = (f"GET /clips/{clip.name} HTTP/1.1", f"Host: {parts.netloc}", "Connection: close", "", "")
        reader.sendall("\r\n".join(lines).encode())
        time.sleep(0.1)  # so that the end waits in the server
        got = sum(map(len, iter(lambda: reader.recv(65536), b"")))
    clip.unlink()
    assert got > 300_000
    time.sleep(0.6)
    assert [each.getMessage() for each in caplog.records if each.name == "asyncio"] == []


def test_links_among_the_clips_are_not_followed(service: Running, tmp_path: Path) -> None:
    until(lambda: any(each["picture"] for each in newest(service)))
    secret = tmp_path / "secret"
    secret.write_text("secret")
    clips = service.folder / "state" / "clips"
    link = clips / "20261129-135436-123_link.mp4"
    assert OWN_NAME.fullmatch(link.name)
    link.symlink_to(secret)
    assert service.ask("GET", f"clips/{link.name}")[0] == 404
    link.unlink()


@pytest.mark.parametrize("limit", ["0", "101", "-1", "x", "9" * 5000, "1e1"])
def test_absurd_limits_are_refused_in_one_line(service: Running, limit: str) -> None:
    status, _, said = service.ask("GET", f"api/newest?limit={limit}")
    assert (status, said.count(b"\n")) == (422, 0)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_nothing_can_be_changed(service: Running, method: str) -> None:
    for path in ("", "api/status", "cameras/belt.jpg", "metrics", "readyz"):
        assert service.ask(method, path)[0] == 405


def test_a_foreign_host_gets_nothing(service: Running) -> None:
    for path in ("", "healthz", "readyz", "metrics", "cameras/belt.jpg", "api/status"):
        assert service.ask("GET", path, Host="evil.example")[0] == 403


def test_the_api_explains_itself(service: Running) -> None:
    document = service.api("GET", "openapi.json")
    operations = [found for methods in document["paths"].values() for found in methods.values()]
    schemas = [each for name, each in document["components"]["schemas"].items() if "Error" not in name]
    fields = [field for each in schemas for field in each["properties"].values()]
    assert len(operations) > 8
    assert all(each.get("description") for each in (*operations, *schemas, *fields))


@pytest.fixture(scope="module")
def guarded(block_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service with a token."""
    config = config_of(block_model, tmp_path_factory.mktemp("guarded"), "belt")
    web = {"port": config.web.port, "token": TOKEN}
    with running(config.model_copy(update={"web": type(config.web).model_validate(web)})) as started:
        yield started


def test_with_a_token_only_health_of_the_process_is_open(guarded: Running) -> None:
    for path in ("", "readyz", "metrics", "cameras/belt.jpg", "cameras/belt.mjpg", "api/status", "main.js"):
        assert guarded.ask("GET", path)[0] == 401
        if not path.endswith("mjpg"):
            assert guarded.ask("GET", path, Authorization=f"Bearer {TOKEN}")[0] == 200
    assert guarded.ask("GET", "healthz")[0] == 200
    said = guarded.ask("GET", "api/status", Authorization=f"Bearer {TOKEN}")[2]
    assert TOKEN.encode() not in said


def test_a_port_that_is_taken_is_named(block_model: Path, tmp_path: Path) -> None:
    config = config_of(block_model, tmp_path, "belt")
    refused = pytest.raises(UnavailableError, match=r"name another with web\.port")
    with socket.create_server(("127.0.0.1", config.web.port)), refused:
        PagePart(config, Board("device")).start()


def test_a_port_that_is_taken_is_named_before_a_model_is_loaded(tmp_path: Path) -> None:
    config = config_of(tmp_path / "no-such.onnx", tmp_path, "belt")
    refused = pytest.raises(UnavailableError, match=r"name another with web\.port")
    with socket.create_server(("127.0.0.1", config.web.port)), refused:
        run_service(config)
