"""A studio in a thread of this process, and requests to it."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from edgeloop.labeling.studio.project import Project, open_project, work_folder
from edgeloop.labeling.studio.server import LOOPBACK, Server, open_port
from edgeloop.labeling.studio.studio import studio_app


@dataclass(frozen=True)
class Serving:
    """A studio that is being served.

    Attributes:
        project: Its project.
        url: Address of its page.
    """

    project: Project
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
def serve(frames: Path, exemplars: Path | None = None) -> Iterator[Serving]:
    """Serve the studio of a folder of frames."""
    with open_project(frames, work_folder(frames), exemplars) as project:
        server = Server(open_port(LOOPBACK, None))
        app = studio_app(project, server.access)
        thread = threading.Thread(target=server.serve, args=(app, project.events.close), daemon=True)
        thread.start()
        try:
            yield Serving(project, server.access.url)
        finally:
            server.stop()
            thread.join(timeout=20)
