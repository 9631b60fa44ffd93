"""Receivers of what the service sends: a real mosquitto that can be killed, and a server of webhooks."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from tests.waiting import until

Events = dict[str, dict[str, Any]]
"""Events by id, each once however often it arrived."""


def mosquitto_path() -> str | None:
    """Find mosquitto, which Debian keeps among the programs of the administrator."""
    return shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def is_open(port: int) -> bool:
    """True if somebody listens on a port of 127.0.0.1."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Broker:
    """Mosquitto on a port of its own, not started yet. A kill loses what it has, unless `persistent` is set.

    Attributes:
        port: Its port.
    """

    def __init__(self, folder: Path, *lines: str, persistent: bool = False) -> None:
        self.port = free_port()
        self._config = folder / f"mosquitto-{self.port}.conf"
        guarded = any(line.startswith("password_file") for line in lines)
        kept = [
            "persistence true",
            f"persistence_location {folder}/",
            "autosave_interval 1",
            "autosave_on_changes true",
            "max_queued_messages 0",
            f"user {'root' if os.getuid() == 0 else os.environ.get('USER', 'nobody')}",
        ]
        self._config.write_text(
            "\n".join(
                [
                    f"listener {self.port} 127.0.0.1",
                    *lines,
                    f"allow_anonymous {str(not guarded).lower()}",
                    *(kept if persistent else ()),
                    "",
                ]
            )
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Broker:
        """Start it, and wait until it listens."""
        program = mosquitto_path()
        if program is None:
            raise FileNotFoundError("mosquitto")
        command = [program, "-c", str(self._config)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(lambda: is_open(self.port))
        return self

    def kill(self) -> None:
        """Kill it, without a chance to say goodbye."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def __enter__(self) -> Broker:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()


class Subscriber:
    """Client of a broker that collects the events, and comes back at once whenever the broker does.

    Attributes:
        events: Events that arrived.
        copies: Number of messages with an event, repeated ones included.
    """

    def __init__(self, port: int, topic: str) -> None:
        self.events: Events = {}
        self.copies = 0
        self._topic = topic
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="subscriber", clean_session=False)
        self._client.on_connect = self._on_connect
        self._client.on_message = self._on_message
        self._client.reconnect_delay_set(1, 1)
        self._subscribed = threading.Event()
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self._subscribed.wait(10)

    def __enter__(self) -> Subscriber:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(self, client: mqtt.Client, *_: object) -> None:
        client.subscribe(self._topic, qos=1)
        self._subscribed.set()

    def _on_message(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        event = json.loads(message.payload)
        self.copies += 1
        self.events.setdefault(event["id"], event)


class WebhookReceiver:
    """Server that collects what is posted to it, and fails on demand.

    Attributes:
        status: Status of its replies; other than 200, nothing is taken.
        events: Events that it took.
        copies: Number of requests that it took.
        refused: Number of requests that it did not take.
        headers: Headers of the newest request.
    """

    def __init__(self) -> None:
        self.status = 200
        self.events: Events = {}
        self.copies = self.refused = 0
        self.headers: Mapping[str, str] = {}
        self._server: ThreadingHTTPServer | None = None
        self._open: set[socket.socket] = set()
        self.port = 0
        self.listen()

    @property
    def url(self) -> str:
        """Address to post to."""
        return f"http://127.0.0.1:{self.port}/events"

    def listen(self) -> None:
        """Accept connections, on the same port as before."""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                receiver._open.add(self.connection)

            def finish(self) -> None:
                receiver._open.discard(self.connection)
                super().finish()

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver._take(json.loads(body), dict(self.headers))
                self.send_response(receiver.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def refuse(self) -> None:
        """Close all connections, and refuse new ones."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> WebhookReceiver:
        return self

    def __exit__(self, *_: object) -> None:
        self.refuse()

    def _take(self, event: dict[str, Any], headers: Mapping[str, str]) -> None:
        self.headers = headers
        if self.status != 200:
            self.refused += 1
            return
        self.copies += 1
        self.events.setdefault(event["id"], event)
