"""Page of the service: its server, and what feeds it."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Sequence
from functools import partial
from importlib.resources import files

from edgeloop.edge.result import Sink
from edgeloop.edge.service.board import Board, CameraState
from edgeloop.edge.service.page.health import Health
from edgeloop.edge.service.page.metrics import Metrics
from edgeloop.edge.service.page.preview import Preview
from edgeloop.edge.service.page.preview_api import preview_api
from edgeloop.edge.service.page.status_api import StatusReader, status_api
from edgeloop.edge.service.service_config import ServiceConfig
from edgeloop.edge.service.service_part import EventListener, ServiceEvent, ServicePart
from edgeloop.edge.web.access import TokenAccess
from edgeloop.edge.web.page_events import Events
from edgeloop.edge.web.server import Server, open_port
from edgeloop.edge.web.web_app import web_app

__all__ = ["PagePart"]

log = logging.getLogger(__name__)

_STATUS_S = 1.0
_SEND_BUFFER = 1 << 17  # bytes; pictures that wait in a larger one would be old


class PagePart(ServicePart):
    """Health, metrics, preview and page, served in a thread of their own.

    Attributes:
        url: Address of the page, without the token; "" before `start`.
    """

    def __init__(self, config: ServiceConfig, board: Board) -> None:
        """Prepare; the port is opened by `start`."""
        self.url = ""
        self._config, self._board = config.web, board
        clips = None if config.clips is None else config.clips_folder
        self._health = Health(config, board)
        self._metrics, self._preview = Metrics(board, self._health), Preview(board)
        self._reader, self._events = StatusReader(board, self._health, clips), Events()
        self._server: Server | None = None
        self._closed = threading.Event()
        self._threads: list[threading.Thread] = []

    def sinks(self, camera: CameraState) -> Sequence[Sink]:
        """Make the sink that keeps the newest result of a camera."""
        return [self._preview.sink(camera)]

    def listener(self) -> EventListener:
        """Return the listener that sends events to open pages."""
        return self._listen

    def _listen(self, event: ServiceEvent) -> None:
        self._events.send("event", self._reader.remember(event))

    def start(self) -> None:
        """Open the port and start to serve.

        Raises:
            UnavailableError: The port is taken, or there is no such address.
        """
        secret = self._config.token
        token = None if secret is None else secret.get_secret_value()
        opened = open_port(self._config.host, self._config.port, "web.port")
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        self._server = Server(opened, partial(TokenAccess, token=token, public=frozenset({"/healthz"})))
        access = self._server.access
        routers = (status_api(self._reader, self._health, self._metrics), preview_api(self._preview))
        static = files("edgeloop.edge.service.page") / "static"
        app = web_app("edgeloop serve", access, self._events, routers, static=static)
        for camera in self._board.cameras.values():
            self._metrics.watch(camera)
        self._preview.start()
        serve = partial(self._server.serve, app, self._end_streams)
        self._threads = [
            threading.Thread(target=serve, name="page", daemon=True),
            threading.Thread(target=self._send_status, name="page status", daemon=True),
        ]
        for thread in self._threads:
            thread.start()
        self.url = access.url
        others = " and the other addresses of this machine" if access.host in ("0.0.0.0", "::") else ""
        asks = ", which asks for the token" if token else ""
        log.info("page at %s%s%s", self.url, others, asks, extra={"event": "page-open", "part": "page"})

    def close(self) -> None:
        """End the server, its streams and its threads."""
        self._closed.set()
        if self._server is not None:
            self._server.stop()
        self._preview.close()
        for thread in self._threads:
            thread.join(timeout=2.0)

    def _end_streams(self) -> None:
        self._preview.end_streams()
        self._events.close()

    def _send_status(self) -> None:
        """Count frames, and send the state to open pages, once a second."""
        failed = False
        while not self._closed.wait(_STATUS_S):
            try:
                self._reader.count()
                if self._events.watched:
                    self._events.send("status", self._reader.status().model_dump(mode="json"))
                failed = False
            except Exception as error:  # whatever it is, the next second may be better
                if not failed:
                    log.error("page: %s: %s", type(error).__name__, error, extra={"part": "page"})
                failed = True
