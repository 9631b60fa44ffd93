"""Server of the page: one process, one port, until a signal ends it."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable

import uvicorn

from edgeloop.labeling.studio.access import Access
from edgeloop.models.errors import UnavailableError

__all__ = ["Server", "open_port"]

LOOPBACK = "127.0.0.1"
_GRACE_S = 2  # for replies that are under way when the server ends


def open_port(host: str, port: int | None) -> socket.socket:
    """Listen on a port of an address.

    Args:
        host: IP address, or a name of this machine.
        port: Port; None for any that is free.

    Raises:
        UnavailableError: The port is taken or may not be used, or there is no such address.
    """
    try:
        family, kind, number, _, address = socket.getaddrinfo(host, port or 0, type=socket.SOCK_STREAM)[0]
        opened = socket.socket(family, kind, number)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(address)
        opened.listen(128)
    except OSError as error:
        at = f"port {port}" if host == LOOPBACK else f"{host} port {port or 0}"
        raise UnavailableError(
            f"{at}: cannot be listened on ({error.strerror}); name another with --port"
        ) from error
    return opened


class Server:
    """uvicorn on an open port."""

    def __init__(self, opened: socket.socket, *, key: str | None = None) -> None:
        """Take an open port; the key is random unless given."""
        host, port = opened.getsockname()[:2]
        self.access = Access(host, port, key or secrets.token_urlsafe(16))
        self._socket = opened
        self._uvicorn: uvicorn.Server | None = None

    def serve(self, app: Callable[..., object], on_shutdown: Callable[[], None]) -> None:
        """Answer requests until `stop`, SIGINT or SIGTERM; KeyboardInterrupt reaches the caller.

        `on_shutdown` is called before open replies are awaited, to end streams.
        """
        config = uvicorn.Config(
            app,
            log_level="error",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_GRACE_S,
            ws="none",
        )
        self._uvicorn = _Uvicorn(config, on_shutdown)
        self._uvicorn.run(sockets=[self._socket])

    def stop(self) -> None:
        """End `serve`, from any thread."""
        if self._uvicorn is not None:
            self._uvicorn.should_exit = True


class _Uvicorn(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, on_shutdown: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_shutdown = on_shutdown

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._on_shutdown()
        await super().shutdown(sockets)
