"""Access control of a page: secret, Host and Origin of every request, and the headers of every reply."""

from __future__ import annotations

import hashlib
import ipaddress
import logging
import os
import re
import secrets
import socket
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, quote, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Access", "Guard", "KeyAccess", "TokenAccess", "new_key"]

log = logging.getLogger(__name__)

new_key = partial(secrets.token_urlsafe, 16)
"""Make a random key."""

_MAX_BYTES = 1 << 20  # of a request body
_PORT = re.compile(r":[0-9]{1,5}$")
_COOKIE = "edgeloop"
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob: data:; media-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True, slots=True)
class Access(ABC):
    """Addresses under which a page answers, and the secret that it asks for.

    Attributes:
        host: Address that is listened on, such as "127.0.0.1".
        port: Port that is listened on.
    """

    host: str
    port: int

    @property
    def url(self) -> str:
        """Address of the page."""
        return f"http://{self._name}:{self.port}{self.root}/"

    @property
    def root(self) -> str:
        """First part of every path, such as "/key"; "" if there is none."""
        return ""

    @property
    def _name(self) -> str:
        """Address to open; for one that means all of this machine's, its own."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return f"[{host}]" if ":" in host else host

    @abstractmethod
    def refusal(self, scope: Scope) -> Response | None:
        """Reply to a request without the secret, or that hands it over; None to answer the request."""
        ...

    def allows_host(self, host: str) -> bool:
        """True if a Host header names this machine: a foreign name that resolves to it is refused.

        On a loopback address that is the address and "localhost". On another it is any IP address: names can
        be rebound by DNS, addresses cannot.
        """
        name, port = _split_host(host)
        if port != str(self.port):
            return False
        if name in {"localhost", self._name}:
            return True
        return not ipaddress.ip_address(self.host).is_loopback and _is_address(name)

    def allows_origin(self, origin: str) -> bool:
        """True if an Origin header is that of this page."""
        scheme, _, host = origin.partition("://")
        return scheme == "http" and self.allows_host(host)


@dataclass(frozen=True, slots=True)
class KeyAccess(Access):
    """Addresses whose path begins with a secret key.

    Attributes:
        key: First part of every path, a secret.
    """

    key: str = field(default_factory=new_key, repr=False)

    @property
    def root(self) -> str:
        """First part of every path."""
        return f"/{self.key}"

    def refusal(self, scope: Scope) -> Response | None:
        """Refuse a path without the key."""
        key = scope["path"].removeprefix("/").partition("/")[0]
        if secrets.compare_digest(key.encode("utf-8", "replace"), self.key.encode()):
            return None
        return _say(HTTPStatus.NOT_FOUND, "no such page; open the address that the command printed")


@dataclass(frozen=True, slots=True)
class TokenAccess(Access):
    """Addresses that ask for a token: as a bearer, or once in the query of a page, which gives a cookie.

    The cookie holds a digest of the token: cookies are sent to every port of a machine, and the token of this
    one is not for the others.

    Attributes:
        token: The secret; None if everybody who reaches the address may see the page.
        public: Paths for which no token is needed.
    """

    token: str | None = field(default=None, repr=False)
    public: frozenset[str] = frozenset()

    def refusal(self, scope: Scope) -> Response | None:
        """Refuse a request without the token; take it from the query into a cookie."""
        if self.token is None or scope["path"] in self.public or self._is_known(Headers(scope=scope)):
            return None
        asked = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given = [value for name, value in asked if name == "token"]
        if scope["method"] not in {"GET", "HEAD"} or not any(self._is_token(value) for value in given):
            said = "expected the token: open ADDRESS/?token=TOKEN, or send Authorization: Bearer TOKEN"
            return _say(HTTPStatus.UNAUTHORIZED, said, {"WWW-Authenticate": "Bearer"})
        rest = urlencode([(name, value) for name, value in asked if name != "token"])
        # One slash at the start: with two it would be the address of another machine.
        path = "/" + quote(scope["path"].lstrip("/\\"))
        reply = RedirectResponse(f"{path}?{rest}" if rest else path, HTTPStatus.SEE_OTHER)
        reply.set_cookie(_COOKIE, self._cookie, httponly=True, samesite="strict", max_age=365 * 86400)
        return reply

    def allows_host(self, host: str) -> bool:
        """True if a Host header names this machine.

        With a token also its own host name, and any port, as a container may have another one outside.
        """
        if self.token is None:
            return Access.allows_host(self, host)
        name, _ = _split_host(host)
        own = socket.gethostname().lower()
        names = {"localhost", self.host.lower(), own, f"{own.partition('.')[0]}.local"}
        return name.lower() in names or _is_address(name)

    @property
    def _cookie(self) -> str:
        return hashlib.sha256(f"edgeloop page {self.token}".encode()).hexdigest()

    def _is_known(self, headers: Headers) -> bool:
        kind, _, bearer = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and self._is_token(bearer.strip(), "latin-1"):
            return True
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(_COOKIE)
        except CookieError:
            return False
        return cookie is not None and secrets.compare_digest(cookie.value.encode(), self._cookie.encode())

    def _is_token(self, text: str, encoding: str = "utf-8") -> bool:
        given = text.encode(encoding, "replace")
        return secrets.compare_digest(given, (self.token or "").encode())


class Guard:
    """ASGI middleware: refuses foreign requests, takes their secret, adds headers to replies."""

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
            await refusal(scope, receive, guarded)
            return
        scope = {**scope, "root_path": self._access.root}
        try:
            await self._app(scope, _bounded(receive), guarded)
        except Exception as error:  # a fault of ours; the page got one line about it
            shown = bool(os.environ.get("EDGELOOP_DEBUG"))
            path = scope["path"].removeprefix(self._access.root)
            text = f"{scope['method']} {path}: {type(error).__name__}: {error}"
            log.error("%s%s", text, "" if shown else " (EDGELOOP_DEBUG=1 shows where)", exc_info=shown)

    def _refusal(self, scope: Scope) -> Response | None:
        """Reply to a request that is not answered; None for one that is."""
        headers, access = Headers(scope=scope), self._access
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not access.allows_host(hosts[0]):
            return _say(HTTPStatus.FORBIDDEN, f"this page is at {access.host}:{access.port} only")
        if (refusal := access.refusal(scope)) is not None:
            return refusal
        if scope["method"] in {"GET", "HEAD"}:
            return None
        if any(not access.allows_origin(origin) for origin in headers.getlist("origin")):
            return _say(HTTPStatus.FORBIDDEN, "requests are taken from this page only")
        if "transfer-encoding" in headers:
            return _say(HTTPStatus.LENGTH_REQUIRED, "expected a Content-Length")
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdecimal()) or len(length) > 9 or int(length) > _MAX_BYTES:
            return _say(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"expected a body of at most {_MAX_BYTES} bytes")
        if int(length) and headers.get("content-type", "").partition(";")[0] != "application/json":
            return _say(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "expected application/json")
        return None


def _say(status: HTTPStatus, text: str, headers: dict[str, str] | None = None) -> Response:
    return PlainTextResponse(f"{text}\n", status, headers)


def _split_host(host: str) -> tuple[str, str]:
    """Name and port of a Host header."""
    name, port = (host, "80") if _PORT.search(host) is None else host.rsplit(":", 1)
    return name, port


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


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
