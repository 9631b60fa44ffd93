"""Access with a token: as a bearer, or once in the address, which gives a cookie."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib.resources import files
from urllib.parse import urlsplit

import pytest
from fastapi import APIRouter
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeloop.edge.web.access import TokenAccess
from edgeloop.edge.web.page_events import Events
from edgeloop.edge.web.server import LOOPBACK, Server, open_port
from edgeloop.edge.web.web_app import web_app
from edgeloop.models.errors import UnavailableError
from tests.served import Served, serve_app
from tests.waiting import until

TOKEN = "näch ste/ste?lle&=+%41"


@contextmanager
def serve_with(token: str | None) -> Iterator[Served]:
    api, events = APIRouter(), Events()

    @api.get("/healthz")
    def alive() -> str:
        return "ok"

    @api.get("/api/state")
    def state(fail: bool = False) -> str:
        if fail:
            raise ZeroDivisionError
        return "secret state"

    @api.post("/api/state")
    def change() -> str:
        return "changed"

    access = partial(TokenAccess, token=token, public=frozenset({"/healthz"}))
    server = Server(open_port(LOOPBACK, None), access)
    static = files("edgeloop.edge.service.page") / "static"
    with serve_app(server, web_app("test", server.access, events, [api], static=static), events):
        yield Served(server.access.url)


@pytest.fixture(scope="module")
def guarded() -> Iterator[Served]:
    with serve_with(TOKEN) as served:
        yield served


@pytest.fixture(scope="module")
def opened() -> Iterator[Served]:
    with serve_with(None) as served:
        yield served


def quoted(token: str) -> str:
    return "".join(f"%{byte:02x}" for byte in token.encode())


def bearer(token: str) -> str:
    return f"Bearer {token}".encode().decode("latin-1")


def test_nothing_is_shown_without_the_token(guarded: Served) -> None:
    for path in (
        "",
        "main.js",
        "api/state",
        "api/openapi.json",
        "nothing",
        "?token=",
        "api/state?token=wrong",
    ):
        status, headers, said = guarded.ask("GET", path)
        assert (status, headers["www-authenticate"]) == (401, "Bearer")
        assert said.count(b"\n") == 1
        assert headers["content-security-policy"].startswith("default-src 'none'")
    assert guarded.ask("GET", "healthz")[0] == 200


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        "Basic " + "QTpC",
        bearer(TOKEN + "x"),
        bearer(TOKEN[:-1]),
        bearer("\u00ff" * 9000),
    ],
)
def test_a_wrong_bearer_is_refused(guarded: Served, header: str) -> None:
    assert guarded.ask("GET", "api/state", Authorization=header)[0] == 401


@pytest.mark.parametrize(
    "cookie", ["edgeloop=", "edgeloop=wrong", "edgeloop=" + "a" * 64, '=;;"', "edgeloop=\xff\xfe"]
)
def test_a_wrong_cookie_is_refused(guarded: Served, cookie: str) -> None:
    assert guarded.ask("GET", "api/state", Cookie=cookie)[0] == 401


def test_the_bearer_is_let_in_under_every_kind_of_method(guarded: Served) -> None:
    assert guarded.ask("GET", "api/state", Authorization=bearer(TOKEN))[0] == 200
    assert guarded.ask("POST", "api/state", Authorization=bearer(TOKEN).replace("Bearer", "bearer"))[0] == 200
    assert guarded.ask("POST", f"api/state?token={quoted(TOKEN)}")[0] == 401


def test_the_token_of_the_address_becomes_a_cookie(guarded: Served) -> None:
    status, headers, _ = guarded.ask("GET", f"api/state?x=1&token={quoted(TOKEN)}&y=%26")
    assert (status, headers["location"]) == (303, "/api/state?x=1&y=%26")
    cookie = headers["set-cookie"]
    assert all(each in cookie for each in ("HttpOnly", "SameSite=strict", "Path=/"))
    assert TOKEN not in cookie
    assert quoted(TOKEN) not in cookie
    assert guarded.ask("GET", "api/state", Cookie=cookie.partition(";")[0])[0] == 200
    assert guarded.ask("GET", f"?token={quoted(TOKEN)}")[1]["location"] == "/"


@pytest.mark.parametrize(
    "path", ["/evil.example/", "%2fevil.example/", "%5cevil.example", "/%2f%5cevil.example/"]
)
def test_the_token_sends_nobody_to_another_machine(guarded: Served, path: str) -> None:
    _, headers, _ = guarded.ask("GET", f"{path}?token={quoted(TOKEN)}")
    assert headers["location"].startswith("/evil.example")


def test_the_token_is_in_no_log(guarded: Served, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        assert guarded.ask("GET", f"api/state?token={quoted(TOKEN)}")[0] == 303
        assert (
            guarded.ask("GET", f"api/state?fail=1&z={quoted(TOKEN)}", Authorization=bearer(TOKEN))[0] == 500
        )
        until(lambda: "ZeroDivisionError" in caplog.text)  # it is logged after the reply
    assert TOKEN not in caplog.text
    assert quoted(TOKEN) not in caplog.text
    assert TOKEN not in repr(TokenAccess("0.0.0.0", 80, TOKEN))


def test_on_loopback_no_token_is_needed_but_the_right_host_is(opened: Served) -> None:
    assert opened.ask("GET", "api/state")[0] == 200
    for host in ("evil.example", "127.0.0.1", "10.0.0.1:80", socket.gethostname()):
        assert opened.ask("GET", "api/state", Host=host)[0] == 403
    assert opened.ask("POST", "api/state", Origin="http://evil.example")[0] == 403
    assert opened.ask("POST", "api/state")[0] == 200


def test_with_a_token_the_names_of_this_machine_are_hosts() -> None:
    access, own = TokenAccess("0.0.0.0", 80, TOKEN), socket.gethostname()
    allowed = ["10.0.0.1:80", "10.0.0.1:9000", "[fe80::1]:80", "localhost:80", own, f"{own.upper()}:80"]
    refused = [
        "evil.example",
        f"{own}.evil.example:80",
        "10.0.0.1.evil.example",
        "",
        ":80",
        "[",
        "10.0.0.1:x",
    ]
    assert [host for host in (*allowed, *refused) if access.allows_host(host)] == allowed


@settings(max_examples=50, deadline=None)
@given(path=st.binary(max_size=40), query=st.binary(max_size=40), secret=st.binary(max_size=40))
def test_no_request_whatever_is_let_in_or_breaks_anything(
    guarded: Served, path: bytes, query: bytes, secret: bytes
) -> None:
    parts = urlsplit(guarded.url)
    request = (
        b"GET /%s?token=%s HTTP/1.1\r\nHost: %s\r\nCookie: edgeloop=%s\r\nAuthorization: Bearer %s\r\n\r\n"
    )
    with socket.create_connection((LOOPBACK, parts.port or 0), timeout=10) as link:
        link.sendall(request % (path, query, parts.netloc.encode(), secret, secret))
        link.shutdown(socket.SHUT_WR)
        said = link.recv(1 << 16)
    assert said == b"" or said.split()[1] in {b"400", b"401", b"404"} or path == b"healthz"
    assert b"secret state" not in said
    assert guarded.ask("GET", "healthz")[0] == 200


def test_an_address_of_another_machine_is_not_mended_by_another_port() -> None:
    with pytest.raises(UnavailableError, match="it is no address of this machine"):
        open_port("192.0.2.1", None, "web.port")
