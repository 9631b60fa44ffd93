"""Access control of the page: key, Host and Origin of every request, and the headers of every reply."""

from __future__ import annotations

import ipaddress
import logging
import os
import re
import secrets
from dataclasses import dataclass
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Access", "Guard"]

log = logging.getLogger(__name__)

_MAX_BYTES = 1 << 20  # of a request body
_PORT = re.compile(r":[0-9]{1,5}$")
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True, slots=True)
class Access:
    """Addresses under which the page answers.

    Attributes:
        host: Address that is listened on, such as "127.0.0.1".
        port: Port that is listened on.
        key: First part of every path, a secret.
    """

    host: str
    port: int
    key: str

    @property
    def url(self) -> str:
        """Address of the page."""
        return f"http://{self._name}:{self.port}/{self.key}/"

    @property
    def _name(self) -> str:
        """Address to open; for one that means all of this machine's, its own."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return f"[{host}]" if ":" in host else host

    def allows_host(self, host: str) -> bool:
        """True if a Host header names this machine: a foreign name that resolves to it is refused.

        On a loopback address that is the address and "localhost". On another it is any IP address: names can
        be rebound by DNS, addresses cannot.
        """
        name, port = (host, "80") if _PORT.search(host) is None else host.rsplit(":", 1)
        if port != str(self.port):
            return False
        if name in {"localhost", self._name}:
            return True
        if ipaddress.ip_address(self.host).is_loopback:
            return False
        try:
            ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
        except ValueError:
            return False
        return True

    def allows_origin(self, origin: str) -> bool:
        """True if an Origin header is that of this page."""
        scheme, _, host = origin.partition("://")
        return scheme == "http" and self.allows_host(host)


class Guard:
    """ASGI middleware: refuses foreign requests, strips the key from the path, adds headers to replies."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        """Guard an application."""
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # the page uses no web sockets
            return
        guarded = _with_headers(send)
        refusal = self._refusal(scope)
        if refusal is not None:
            await PlainTextResponse(refusal[1] + "\n", refusal[0])(scope, receive, guarded)
            return
        scope = {**scope, "root_path": f"/{self._access.key}"}
        try:
            await self._app(scope, _bounded(receive), guarded)
        except Exception as error:  # a fault of ours; the page got one line about it
            shown = bool(os.environ.get("EDGELOOP_DEBUG"))
            text = f"{scope['method']} {_behind_key(scope['path'])}: {type(error).__name__}: {error}"
            log.error("%s%s", text, "" if shown else " (EDGELOOP_DEBUG=1 shows where)", exc_info=shown)

    def _refusal(self, scope: Scope) -> tuple[HTTPStatus, str] | None:
        """Status and one line, if a request is not answered."""
        headers, access = Headers(scope=scope), self._access
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not access.allows_host(hosts[0]):
            return HTTPStatus.FORBIDDEN, f"this page is at {access.host}:{access.port} only"
        key = scope["path"].removeprefix("/").partition("/")[0]
        if not secrets.compare_digest(key.encode("utf-8", "replace"), access.key.encode()):
            return HTTPStatus.NOT_FOUND, "no such page; open the address that the command printed"
        if scope["method"] in {"GET", "HEAD"}:
            return None
        if any(not access.allows_origin(origin) for origin in headers.getlist("origin")):
            return HTTPStatus.FORBIDDEN, "requests are taken from this page only"
        if "transfer-encoding" in headers:
            return HTTPStatus.LENGTH_REQUIRED, "expected a Content-Length"
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdecimal()) or len(length) > 9 or int(length) > _MAX_BYTES:
            return HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"expected a body of at most {_MAX_BYTES} bytes"
        if int(length) and headers.get("content-type", "").partition(";")[0] != "application/json":
            return HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "expected application/json"
        return None


def _behind_key(path: str) -> str:
    return path.removeprefix("/").partition("/")[2]


def _with_headers(send: Send) -> Send:
    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers.update(_HEADERS)
            headers.setdefault("Cache-Control", "no-store")
        await send(message)

    return guarded


def _bounded(receive: Receive) -> Receive:
    """Refuse to read more of a body than was announced at most."""
    seen = 0

    async def bounded() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > _MAX_BYTES:
            return {"type": "http.disconnect"}
        return message

    return bounded
