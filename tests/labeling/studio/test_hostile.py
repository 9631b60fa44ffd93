"""Requests of other pages, of other machines, and of nonsense: each gets one line, and none gets a file."""

from __future__ import annotations

import http.client
import json
import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from fastapi import APIRouter
from playwright.sync_api import Page, expect

from edgeloop.edge.web import page_events as events_module
from edgeloop.edge.web import server as server_module
from edgeloop.edge.web.access import KeyAccess
from edgeloop.edge.web.page_events import Events
from edgeloop.edge.web.server import LOOPBACK, Server, open_port
from edgeloop.labeling.studio.exemplar_file import DrawnFrame
from edgeloop.labeling.studio.page_app import build_app
from edgeloop.models.errors import UnavailableError
from tests.labeling.studio.serving import Serving, serve, write_gray_frames
from tests.served import Served, note_requests, serve_app

BOX = {"boxes": [{"xyxy": [1, 2, 30, 40], "name": "bolt"}]}


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """The studio of three gray frames; a test that draws on one takes it back."""
    with serve(write_gray_frames(tmp_path_factory.mktemp("hostile") / "frames")) as serving:
        yield serving


def take_back(studio: Serving) -> None:
    for name in studio.project.drawn.drawn():
        studio.project.drawn.put(name, DrawnFrame(complete=False))


def address(studio: Served) -> tuple[str, int, str]:
    parts = urlsplit(studio.url)
    return LOOPBACK, parts.port or 0, parts.path


def raw(studio: Served, request: bytes) -> bytes:
    """Whatever the server says to these bytes."""
    host, port, _ = address(studio)
    with socket.create_connection((host, port), timeout=20) as link:
        link.sendall(request)
        return link.recv(1 << 16)


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "", "127.0.0.1:1", "[::1]:{port}"]
)
def test_foreign_hosts_are_refused(studio: Serving, host: str) -> None:
    _, port, _ = address(studio)
    for method, path, body in (
        ("GET", "api/frames", None),
        ("PUT", "api/frames/0/boxes", BOX),
        ("GET", "", None),
    ):
        status, _, said = studio.ask(method, path, body, Host=host.format(port=port))
        assert (status, said.count(b"\n")) == (403, 1)
    assert not studio.project.drawn.drawn()


def test_two_hosts_or_none_are_refused(studio: Serving) -> None:
    host, port, path = address(studio)
    own = f"Host: {host}:{port}\r\n"
    assert b" 403 " in raw(studio, f"GET {path} HTTP/1.0\r\n\r\n".encode())
    assert raw(studio, f"GET {path} HTTP/1.1\r\n{own}{own}\r\n".encode()).split()[1] in {b"400", b"403"}


def test_a_tunnel_that_ends_at_localhost_is_let_in(studio: Serving) -> None:
    _, port, _ = address(studio)
    assert studio.ask("GET", "api/project", Host=f"localhost:{port}")[0] == 200


def test_without_the_key_there_is_nothing(studio: Serving) -> None:
    for key in ("guessed", "", "%00", "%c3%a4", "%ff"):
        assert studio.ask("GET", "api/project", key=key)[0] == 404
        assert studio.ask("PUT", "api/frames/0/boxes", BOX, key=key)[0] == 404
    assert not studio.project.drawn.drawn()


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://127.0.0.1:{port}", "http://127.0.0.1:1", ""]
)
def test_changes_from_other_pages_are_refused(studio: Serving, origin: str) -> None:
    _, port, _ = address(studio)
    said = studio.ask("PUT", "api/frames/0/boxes", BOX, Origin=origin.format(port=port))
    assert said[0] == 403
    assert studio.ask("PUT", "api/frames/0/boxes", BOX, Origin=f"http://127.0.0.1:{port}")[0] == 200
    take_back(studio)


@pytest.mark.parametrize(
    "path",
    [
        *("../exemplars.json", "%2e%2e/exemplars.json", "..%2f..%2fetc/passwd", "/etc/passwd"),
        *("%2fetc%2fpasswd", "lib/../../studio.py", "studio.py", "__init__.py", "lib/", "lib"),
        *("..\\studio.py", "%5c..%5cstudio.py", "main.js%00.css", "%00", "main.js/", ".hidden.js"),
        *("api/nothing", "api/../main.js", "x" * 300 + ".js", "%ff%fe.js"),
    ],
)
def test_no_path_leads_to_a_file_that_is_not_of_the_page(studio: Serving, path: str) -> None:
    status, _, said = studio.ask("GET", path)
    assert status == 404
    assert json.loads(said)["detail"]


def test_the_page_is_reached_without_its_last_slash(studio: Serving) -> None:
    host, port, path = address(studio)
    said = raw(studio, f"GET {path[:-1]} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
    assert said.startswith(b"HTTP/1.1 307 ")
    assert f"{path}\r\n".encode() in said


def test_every_reply_forbids_what_the_page_does_not_need(studio: Serving) -> None:
    for path in ("", "main.js", "api/frames", "nothing", "api/frames/99/image"):
        _, headers, _ = studio.ask("GET", path)
        assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self';")
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        pytest.param(b"{", {}, 422, id="no json"),
        pytest.param(b"[" * 100_000, {}, None, id="deep"),
        pytest.param(b'{"a":' * 100_000, {}, None, id="deep objects"),
        pytest.param(b'{"boxes": ' + b"9" * 5000 + b"}", {}, None, id="long number"),
        pytest.param(b'{"boxes": NaN}', {}, 422, id="not a number"),
        pytest.param(b'{"boxes": [{"xyxy": [0, 0, Infinity, 9], "name": "a"}]}', {}, 422, id="infinite"),
        pytest.param(b'{"\\ud800": 1}', {}, 422, id="half a character"),
        pytest.param(b'{"boxes": [{"xyxy": [0, 0, 9, 9], "name": "\\ud800"}]}', {}, 422, id="half a name"),
        pytest.param(b"\xff\xfe\x00", {}, None, id="no text"),
        pytest.param(b"null", {}, 422, id="null"),
        pytest.param(b"[]", {}, 422, id="list"),
        pytest.param({"boxes": 3}, {}, 422, id="wrong type"),
        pytest.param({**BOX, "more": 1}, {}, 422, id="unknown field"),
        pytest.param({"boxes": BOX["boxes"] * 2001}, {}, 422, id="too many"),
        pytest.param({"boxes": [{"xyxy": [9, 9, 1, 1], "name": "a"}]}, {}, 422, id="inside out"),
        pytest.param({"boxes": [{"xyxy": [0, 0, 9000, 9], "name": "a"}]}, {}, 422, id="outside"),
        pytest.param(b" " * (1 << 20) + b"{}", {}, 413, id="too long"),
        pytest.param(BOX, {"Content_Type": "text/plain"}, 415, id="as a form could send it"),
        pytest.param(BOX, {"Content_Length": "-1"}, 400, id="negative length"),
        pytest.param(BOX, {"Content_Length": "9" * 400}, None, id="huge length"),
    ],
)
def test_absurd_bodies_get_one_line(
    studio: Serving, body: Any, headers: dict[str, str], status: int | None
) -> None:
    found, _, said = studio.ask("PUT", "api/frames/0/boxes", body, **headers)
    assert found == status if status else 400 <= found < 500
    assert said.strip().count(b"\n") == 0
    assert b"Traceback" not in said
    assert not studio.project.drawn.drawn()


def test_a_body_without_a_length_is_refused(studio: Serving) -> None:
    host, port, path = address(studio)
    head = (
        f"PUT {path}api/frames/0/boxes HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n"
    )
    assert b" 411 " in raw(studio, head.encode() + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n")


@pytest.mark.parametrize("method", ["POST", "DELETE", "PATCH", "TRACE", "PROPFIND", "OPTIONS", "HEAD"])
def test_other_methods_are_refused(studio: Serving, method: str) -> None:
    assert studio.ask(method, "api/frames")[0] in {404, 405}
    assert studio.ask(method, "")[0] == (200 if method == "HEAD" else 405)


@pytest.mark.parametrize(
    "request_line",
    [
        *("OPTIONS * HTTP/1.1", "CONNECT evil.example:80 HTTP/1.1", "GET http://evil.example/ HTTP/1.1"),
        *("GET  HTTP/1.1", "\x16\x03\x01", "GET /" + "x" * 100_000 + " HTTP/1.1"),
    ],
)
def test_odd_request_lines_are_refused(studio: Serving, request_line: str) -> None:
    host, port, _ = address(studio)
    said = raw(studio, f"{request_line}\r\nHost: {host}:{port}\r\n\r\n".encode())
    assert said == b"" or said.split()[1][:1] == b"4"
    assert studio.api("GET", "project")


def test_frames_are_numbers_that_exist(studio: Serving) -> None:
    for number in ("-1", "7", "99999999999999999999", "9" * 5000, "1e3", "0x1", "%00", "a"):
        for rest in ("image", "thumbnail", "boxes"):
            assert studio.ask("GET", f"api/frames/{number}/{rest}")[0] in {404, 422}


def is_closed(link: socket.socket) -> bool:
    """True once the other side closed a connection; raises TimeoutError otherwise."""
    try:
        while link.recv(100):
            pass
    except ConnectionResetError:
        pass
    return True


def test_connections_that_send_nothing_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "_PATIENCE_S", 0.2)
    with failing_app() as served:
        host, port, path = address(served)
        head = f"PUT {path}api/fault HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n"
        for started in (b"", b"GET / HT", head.encode() + b"Content-Length: 10\r\n\r\n{"):
            with socket.create_connection((host, port), timeout=20) as link:
                link.sendall(started)
                assert is_closed(link)
        assert served.ask("GET", "api/project")[0] == 404


def test_streams_are_bounded(studio: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events_module, "_MAX_PAGES", 2)
    host, port, path = address(studio)
    links = [http.client.HTTPConnection(host, port, timeout=20) for _ in range(3)]
    try:
        for link in links[:2]:
            link.request("GET", f"{path}api/events")
            assert link.getresponse().readline() == b"retry: 1000\n"
        links[2].request("GET", f"{path}api/events")
        assert links[2].getresponse().status == 503
    finally:
        for link in links:
            link.close()


@contextmanager
def failing_app() -> Iterator[Served]:
    """An API whose only endpoint has a fault."""
    api, events = APIRouter(), Events()

    @api.get("/fault")
    @api.put("/fault")
    def fault(body: dict[str, int] | None = None) -> None:
        raise ZeroDivisionError(f"secret\n{body}")

    server = Server(open_port(LOOPBACK, None))
    with serve_app(server, build_app("fault", server.access, events, [api]), events):
        yield Served(server.access.url)


def test_a_fault_of_ours_is_one_line_and_shows_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with failing_app() as served, caplog.at_level(logging.ERROR):
        status, _, said = served.ask("GET", "api/fault")
        assert (status, b"secret" in said, b"Traceback" in said) == (500, False, False)
        assert "ZeroDivisionError" in json.loads(said)["detail"]
        assert served.ask("GET", "api/fault")[0] == 500
    assert "EDGELOOP_DEBUG" in caplog.text
    assert "Traceback" not in caplog.text
    key = urlsplit(served.url).path.strip("/")
    assert key not in caplog.text


@pytest.mark.parametrize(
    ("host", "allowed", "refused"),
    [
        ("127.0.0.1", ["127.0.0.1:80", "localhost:80", "127.0.0.1"], ["[::1]:80", "10.0.0.1:80", "name:80"]),
        ("::1", ["[::1]:80", "localhost:80"], ["127.0.0.1:80", "::1:80"]),
        (
            "0.0.0.0",
            ["10.0.0.1:80", "127.0.0.1:80", "localhost:80"],
            ["name:80", "10.0.0.1:81", "10.0.0.1.x:80"],
        ),
        ("192.168.1.5", ["192.168.1.5:80", "127.0.0.1:80"], ["evil.example:80", ":80", "80"]),
    ],
)
def test_hosts_of_an_address(host: str, allowed: list[str], refused: list[str]) -> None:
    access = KeyAccess(host, 80, "k")
    assert [one for one in (*allowed, *refused) if access.allows_host(one)] == allowed


def test_addresses_that_mean_all_are_shown_as_one_that_can_be_opened() -> None:
    assert KeyAccess("0.0.0.0", 80, "k").url == "http://127.0.0.1:80/k/"
    assert KeyAccess("::", 80, "k").url == "http://[::1]:80/k/"


def test_a_taken_port_is_named() -> None:
    with open_port(LOOPBACK, None) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UnavailableError, match=f"port {port}: cannot be listened on"):
            open_port(LOOPBACK, port)
    with pytest.raises(UnavailableError, match=r"no\.such\.host\.invalid"):
        open_port("no.such.host.invalid", None)


def test_the_api_explains_itself(studio: Serving) -> None:
    document = studio.api("GET", "openapi.json")
    missing = [
        f"{method} {path}"
        for path, methods in document["paths"].items()
        for method, found in methods.items()
        if not found.get("description")
    ]
    schemas = {
        name: schema
        for name, schema in document["components"]["schemas"].items()
        if schema["type"] == "object" and "Error" not in name  # fastapi's own
    }
    missing += [name for name, schema in schemas.items() if not schema["description"]]
    missing += [
        f"{name}.{field}"
        for name, schema in schemas.items()
        for field, found in schema.get("properties", {}).items()
        if not found.get("description")
    ]
    assert missing == []
    assert [name for name in schemas if "__" in name or "-" in name] == []  # two models of one name


def test_nobody_but_the_server_is_asked(studio: Serving, open_page: Callable[[str], Page]) -> None:
    page = open_page("about:blank")
    asked = note_requests(page)
    page.goto(studio.url)
    for link in page.get_by_role("navigation").get_by_role("link").all():
        link.click()
        expect(page.locator("main > *")).to_be_visible()
    page.wait_for_timeout(300)
    assert asked
    assert [url for url in asked if not url.startswith((studio.url, "blob:", "data:"))] == []


def test_a_folder_that_cannot_be_written_loses_nothing(studio: Serving) -> None:
    studio.api("PUT", "frames/0/boxes", BOX)
    before = studio.project.exemplars.read_bytes()
    blocked = studio.project.work / "exemplars.json.part"
    blocked.mkdir()
    status, _, said = studio.ask("PUT", "api/frames/1/boxes", BOX)
    assert (status, said.count(b"\n")) == (503, 0)
    assert "cannot be written" in json.loads(said)["detail"]
    assert studio.project.exemplars.read_bytes() == before
    blocked.rmdir()
    studio.api("PUT", "frames/1/boxes", BOX)
    assert len(studio.project.drawn.drawn()) == 2
    take_back(studio)
