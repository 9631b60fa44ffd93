"""Page that is being served, by a thread of this process or a process of its own, and requests to it."""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from starlette.types import ASGIApp

from edgeloop.edge.web.page_events import Events
from edgeloop.edge.web.server import LOOPBACK, Server

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route


@dataclass(frozen=True)
class Served:
    """A page that is being served.

    Attributes:
        url: Its address.
    """

    url: str

    def ask(
        self, method: str, path: str, body: Any = None, *, key: str | None = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """Send a request to a path behind the key: status, headers and body of the reply.

        Bytes are sent as they are, all else as JSON; `headers` have _ for -.
        """
        parts = urlsplit(self.url)
        link = http.client.HTTPConnection(LOOPBACK, parts.port or 0, timeout=20)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            body = body if isinstance(body, bytes) else json.dumps(body).encode()
            sent = {"Content-Type": "application/json", **sent}
        base = parts.path if key is None else f"/{key}/"
        try:
            link.request(method, base + path, body, sent)
            reply = link.getresponse()
            return reply.status, {name.lower(): value for name, value in reply.getheaders()}, reply.read()
        finally:
            link.close()

    def api(self, method: str, path: str, body: Any = None) -> Any:
        """Send a request to the API, and return its JSON.

        Raises:
            AssertionError: The reply is not of status 200.
        """
        status, _, said = self.ask(method, f"api/{path}", body)
        assert status == 200, (status, said)
        return json.loads(said)


@contextmanager
def serve_app(server: Server, app: ASGIApp, events: Events) -> Iterator[threading.Thread]:
    """Serve an application in a thread."""
    thread = threading.Thread(target=server.serve, args=(app, events.close), daemon=True)
    thread.start()
    try:
        yield thread
    finally:
        server.stop()
        thread.join(timeout=20)


@contextmanager
def started(*words: object) -> Iterator[tuple[subprocess.Popen[str], Served]]:
    """Start an edgeloop command that serves a page in a new process: the process, and its page."""
    command = [sys.executable, "-c", "from edgeloop.edge.cli.app import main; main()", *map(str, words)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        lines = iter(process.stderr.readline, "")
        url = next(found[0] for line in lines if (found := re.search(r"http://\S+", line)))
        yield process, Served(url)
    finally:
        process.kill()
        process.communicate(timeout=20)


def note_requests(page: Page) -> list[str]:
    """Addresses that a browser's page asks for from now on, in a list that grows."""
    asked: list[str] = []

    def pass_on(route: Route) -> None:
        asked.append(route.request.url)
        route.continue_()

    page.route("**/*", pass_on)
    return asked
