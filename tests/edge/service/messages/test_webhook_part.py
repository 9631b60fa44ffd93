"""Webhooks at a real server that fails, refuses, is slow, goes away and comes back."""

from __future__ import annotations

import itertools
import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from edgeloop.edge.service.messages.webhook_part import WebhookPart
from tests.edge.service.messages.rig import Rig
from tests.receivers import free_port
from tests.waiting import until


class Server:
    """HTTP server that answers as told: a list of statuses, then 200."""

    def __init__(self, port: int = 0) -> None:
        self.answers: list[int] = []
        self.headers: dict[str, str] = {}
        self.posts: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.times: list[float] = []
        self.connections = 0
        self.delay_s = 0.0
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self) -> None:
                server.connections += 1
                super().setup()

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                server.posts.append((self.path, dict(self.headers), json.loads(body)))
                server.times.append(time.monotonic())
                time.sleep(server.delay_s)
                status = server.answers.pop(0) if server.answers else 200
                self.send_response(status)
                for name, value in server.headers.items() if status != 200 else ():
                    self.send_header(name, value)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_: object) -> None:
                pass

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                pass

        self._server = Quiet(("127.0.0.1", port), Handler)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    @property
    def ids(self) -> list[str]:
        return [body["id"] for _, _, body in self.posts]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


Opener = Callable[..., Rig]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opener]:
    """Starts the part that posts to a port, and ends it."""
    running: list[WebhookPart] = []

    def start(port: int, path: str = "/hook", **settings: Any) -> Rig:
        rig = Rig(tmp_path, webhooks=[{"url": f"http://127.0.0.1:{port}{path}", **settings}])
        running.append(WebhookPart(0, rig.config, rig.board))
        rig.start(running[-1])
        return rig

    yield start
    for part in running:
        part.close()


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_each_event_is_posted_once_over_one_connection(opened: Opener, server: Server) -> None:
    rig = opened(server.port, "/hook?key=abc", headers={"Authorization": "Bearer secret"})
    rig.walk(10)
    until(lambda: server.ids == rig.ids)
    path, headers, body = server.posts[0]
    assert path == "/hook?key=abc"
    assert headers["Content-Type"] == "application/json"
    assert headers["X-Edgeloop-Event"] == body["id"]
    assert headers["Authorization"] == "Bearer secret"
    assert (body["device"], body["camera"], body["event"]) == ("hall", "door", "enter")
    assert server.connections == 1
    until(lambda: rig.figure("webhook_1", "sent") == len(rig.ids))
    assert rig.figure("webhook_1", "spooled") == 0


def test_only_wanted_kinds_are_posted(opened: Opener, server: Server) -> None:
    rig = opened(server.port, events=["cross"])
    rig.walk(5)
    until(lambda: len(server.posts) == 9)
    assert {body["event"] for _, _, body in server.posts} == {"cross"}


def test_a_server_that_fails_gets_it_again_in_order(
    opened: Opener, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    server.answers = [500, 503, 302, 408]
    rig = opened(server.port)
    rig.walk(3)
    until(lambda: server.ids[4:] == rig.ids)
    assert set(server.ids[:4]) == {rig.ids[0]}
    assert [line.partition(": ")[2] for line in warnings(caplog)] == [
        "answers 500 Internal Server Error (events wait on disk)",
        "there again",
    ]
    until(lambda: rig.figure("webhook_1", "retries") == 4)


def test_retry_after_is_respected(opened: Opener, server: Server) -> None:
    server.answers, server.headers = [429], {"Retry-After": "1"}
    rig = opened(server.port)
    rig.see((7, 0, 40))
    until(lambda: len(server.posts) == 2)
    assert server.times[1] - server.times[0] >= 1.0


def test_what_is_refused_is_dropped_counted_and_said_once(
    opened: Opener, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    server.answers = [404, 404, 401]
    rig = opened(server.port, "/secret-path-x81")
    rig.walk(4)
    until(lambda: server.ids == rig.ids)
    until(lambda: rig.figure("webhook_1", "refused") == 3)
    assert len(warnings(caplog)) == 2
    assert "x81" not in caplog.text


def test_a_server_that_goes_and_comes_back_misses_nothing(
    opened: Opener, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    rig = opened(port, "/hook")
    rig.walk(5)
    until(lambda: rig.figure("webhook_1", "failing") == 1)
    first = Server(port)
    until(lambda: first.ids == rig.ids)
    first.close()
    rig.stop()
    assert [line.partition(": ")[2] for line in warnings(caplog)] == [
        "no connection (Connection refused) (events wait on disk)",
        "there again",
    ]


def test_events_wait_for_the_next_run(opened: Opener) -> None:
    port = free_port()
    first = opened(port)
    first.walk(5)
    first.stop()
    second = opened(port)
    second.walk(2)
    server = Server(port)
    until(lambda: server.ids == [*first.ids, *second.ids])
    server.close()


def test_an_end_does_not_wait_for_a_slow_server(opened: Opener, server: Server) -> None:
    server.delay_s = 30.0
    rig = opened(server.port)
    rig.see((7, 0, 40))
    until(lambda: server.posts)
    began = time.monotonic()
    rig.stop()
    assert time.monotonic() - began < 5


def test_a_slow_server_is_given_up_in_time(opened: Opener, server: Server) -> None:
    server.delay_s = 0.5
    rig = opened(server.port, timeout_s=0.2)
    rig.see((7, 0, 40))
    until(lambda: rig.figure("webhook_1", "retries") > 0)
    server.delay_s = 0.0
    until(lambda: rig.figure("webhook_1", "sent") == 1)


@pytest.mark.parametrize("piece", [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 500 No\r\nX:" + b"y" * 9])
def test_a_server_that_never_comes_to_an_end_is_given_up_in_time(opened: Opener, piece: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def drip() -> None:
            with suppress(OSError), listener.accept()[0] as connection:
                for sent in itertools.count():
                    connection.sendall(piece if not sent or piece.endswith(b"\n") else piece[-1:])
                    time.sleep(0.05)

        threading.Thread(target=drip, daemon=True).start()
        rig = opened(listener.getsockname()[1], timeout_s=0.3)
        rig.see((7, 0, 40))
        until(lambda: rig.figure("webhook_1", "retries") > 0)
        assert rig.figure("webhook_1", "spooled") > 0


@pytest.mark.parametrize(
    "settings",
    [
        {"url": "ftp://x/secret"},
        {"url": "http://"},
        {"url": "http://x:secret/"},
        {"url": "http://[secret/"},
        {"url": "http://x/", "headers": {"X-Key": "secret\r\nHost: y"}},
        {"url": "http://x/", "headers": {"X Key": "secret"}},
    ],
)
def test_an_address_that_cannot_be_one_is_refused_without_showing_it(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    with pytest.raises(ValidationError, match=r"webhooks\.0\.") as caught:
        Rig(tmp_path, webhooks=[settings])
    assert "secret" not in str(caught.value)
