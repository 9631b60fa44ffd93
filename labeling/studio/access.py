"""Access control of the page: key, Host and Origin of every request, and the headers of every reply."""

from __future__ import annotations

import ipaddress
import secrets
from dataclasses import dataclass
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Access", "Guard"]

_MAX_BYTES = 1 << 20  # of a request body
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
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/{self.key}/"

    def allows_host(self, host: str) -> bool:
        """True if a Host header names this machine: a foreign name that resolves to it is refused.

        On 127.0.0.1 that is the address and "localhost". On another address it is any IP address: names can
        be rebound by DNS, addresses cannot.
        """
        name, _, port = host.rpartition(":")
        if port != str(self.port):
            return False
        if self.host == "127.0.0.1":
            return name in {"127.0.0.1", "localhost"}
        try:
            ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            return name in {"localhost", self.host}
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
        prefix = f"/{self._access.key}"
        scope = {**scope, "root_path": prefix, "path": scope["path"]}
        await self._app(scope, _bounded(receive), guarded)

    def _refusal(self, scope: Scope) -> tuple[HTTPStatus, str] | None:
        """Status and one line, if a request is not answered."""
        headers, access = Headers(scope=scope), self._access
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not access.allows_host(hosts[0]):
            return HTTPStatus.FORBIDDEN, f"this page is at {access.host}:{access.port} only"
        key = scope["path"].split("/", 2)[1]
        if not secrets.compare_digest(key.encode("utf-8", "replace"), access.key.encode()):
            return HTTPStatus.NOT_FOUND, "no such page; open the address that the command printed"
        if scope["method"] in {"GET", "HEAD"}:
            return None
        if any(not access.allows_origin(origin) for origin in headers.getlist("origin")):
            return HTTPStatus.FORBIDDEN, "requests are taken from this page only"
        length = headers.get("content-length", "")
        if not (length.isascii() and length.isdecimal()) or int(length) > _MAX_BYTES:
            return (
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"expected a Content-Length of at most {_MAX_BYTES} bytes",
            )
        if int(length) and headers.get("content-type", "").partition(";")[0] != "application/json":
            return HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "expected application/json"
        return None


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
