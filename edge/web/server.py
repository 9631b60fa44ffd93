"""Server of a page: one process, one port, until a signal ends it."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
from collections.abc import Callable

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from edgeloop.edge.cli.signals import stopped_by_signals
from edgeloop.edge.web.access import Access, KeyAccess
from edgeloop.models.errors import UnavailableError

__all__ = ["Server", "is_loopback", "open_port"]

LOOPBACK = "127.0.0.1"
_GRACE_S = 1  # for replies that are under way when the server ends
_PATIENCE_S = 20.0  # for a request to arrive whole
_MAX_CONNECTIONS = 200  # beyond it requests are refused, beyond twice as many connections are


def is_loopback(host: str) -> bool:
    """True if only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def open_port(host: str, port: int | None, setting: str = "--port") -> socket.socket:
    """Listen on a port of an address.

    Args:
        host: IP address, or a name of this machine.
        port: Port; None for any that is free.
        setting: Option or key that names it, for the error.

    Raises:
        UnavailableError: The port is taken or may not be used, or there is no such address.
    """
    opened = None
    try:
        family, kind, number, _, address = socket.getaddrinfo(host, port or 0, type=socket.SOCK_STREAM)[0]
        opened = socket.socket(family, kind, number)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(address)
        opened.listen(128)
    except (OSError, UnicodeError) as error:
        if opened is not None:
            opened.close()
        at = f"port {port}" if host == LOOPBACK else f"{host} port {port or 0}"
        reason = error.strerror if isinstance(error, OSError) else "no name of a machine"
        is_port = isinstance(error, OSError) and error.errno in (errno.EADDRINUSE, errno.EACCES)
        hint = f"name another with {setting}" if is_port else "it is no address of this machine"
        raise UnavailableError(f"{at}: cannot be listened on ({reason}); {hint}") from error
    return opened


class Server:
    """uvicorn on an open port."""

    def __init__(self, opened: socket.socket, access: Callable[[str, int], Access] = KeyAccess) -> None:
        """Take an open port, and make the access control of its address; with a random key unless given."""
        self.access = access(*opened.getsockname()[:2])
        self._socket = opened
        self._uvicorn: _Uvicorn | None = None
        self._stopped = False

    def serve(self, app: Callable[..., object], on_shutdown: Callable[[], None]) -> None:
        """Answer requests until `stop`.

        `on_shutdown` is called before open replies are awaited, to end streams.
        """
        config = uvicorn.Config(
            app,
            http=_Protocol,
            loop="asyncio",
            ws="none",
            lifespan="on",
            log_config=None,
            log_level="critical",
            access_log=False,
            server_header=False,
            limit_concurrency=_MAX_CONNECTIONS,
            timeout_graceful_shutdown=_GRACE_S,
        )
        self._uvicorn = _Uvicorn(config, on_shutdown)
        self._uvicorn.should_exit = self._stopped
        try:
            self._uvicorn.run(sockets=[self._socket])
        finally:
            self._socket.close()

    def serve_until_signal(self, app: Callable[..., object], on_shutdown: Callable[[], None]) -> bool:
        """Answer requests until `stop` or a signal; True if it was a signal. A second one ends it at once."""
        with stopped_by_signals(self.stop) as came:
            self.serve(app, on_shutdown)
        return bool(came)

    def stop(self) -> None:
        """End `serve`, from any thread."""
        self._stopped = True
        if self._uvicorn is not None:
            self._uvicorn.should_exit = True


class _Uvicorn(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, on_shutdown: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_shutdown = on_shutdown

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        await self._serve(sockets)  # signals are the caller's

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._on_shutdown()
        await super().shutdown(sockets)


class _Protocol(H11Protocol):
    """HTTP/1.1 that closes connections whose request does not arrive in time, and those that are too many."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > 2 * _MAX_CONNECTIONS:  # they would use up the files of the process
            transport.abort()
        self._check_later(None)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._checking.cancel()

    def _check_later(self, last: object) -> None:
        self._checking = self.loop.call_later(_PATIENCE_S, self._check, last)

    def _check(self, last: object) -> None:
        cycle = self.cycle
        waiting = cycle is None or cycle.response_complete or cycle.more_body
        # One that is closing for so long has a peer that does not take the rest of its reply.
        if (waiting and cycle is last) or self.transport.is_closing():
            self.transport.abort()
        else:
            self._check_later(cycle if waiting else None)
