"""A real MQTT broker on this machine, and a client that listens to it."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

__all__ = ["Broker", "Ear", "free_port", "is_open", "mosquitto", "wait_until"]


def mosquitto() -> str | None:
    """Path of the broker; None if it is not installed."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


def free_port() -> int:
    """Port on 127.0.0.1 on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_open(port: int) -> bool:
    """True if somebody listens on a port of 127.0.0.1."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until(holds: Callable[[], Any], timeout_s: float = 10.0) -> None:
    """Wait until a condition holds, and fail if it does not."""
    until = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.01)


class Broker:
    """mosquitto on one port, to be killed and started again there."""

    def __init__(self, folder: Path, *lines: str) -> None:
        self.port = free_port()
        self._config = folder / f"mosquitto-{self.port}.conf"
        guarded = any(line.startswith("password_file") for line in lines)
        listener = [f"listener {self.port} 127.0.0.1", *lines]
        self._config.write_text("\n".join([*listener, f"allow_anonymous {str(not guarded).lower()}\n"]))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Broker:
        """Start it and wait until it listens."""
        path = mosquitto()
        assert path is not None
        self._process = subprocess.Popen(
            [path, "-c", str(self._config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_until(lambda: is_open(self.port))
        return self

    def kill(self) -> None:
        """Kill it: it saves nothing and says goodbye to nobody."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


class Ear:
    """Client that remembers all messages of some topics, in order."""

    def __init__(self, port: int, *topics: str) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self._topics = topics
        self._subscribed = False
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.on_message = self._take
        self._client.on_connect = self._subscribe
        self._client.on_subscribe = self._note
        self._client.reconnect_delay_set(1, 1)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        wait_until(lambda: self._subscribed)

    def of(self, topic: str) -> list[bytes]:
        """Payloads of one topic so far."""
        return [payload for heard, payload in self.heard if heard == topic]

    def last(self, topic: str) -> bytes | None:
        """Newest payload of a topic; None before the first."""
        return next(iter(self.of(topic)[-1:]), None)

    def say(self, topic: str, payload: str) -> None:
        """Publish a message."""
        self._client.publish(topic, payload, qos=1).wait_for_publish(5)

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()

    def _subscribe(
        self, client: Client, _data: object, _flags: ConnectFlags, _reason: ReasonCode, _: Properties | None
    ) -> None:
        client.subscribe([(topic, 1) for topic in self._topics])

    def _note(
        self, _client: Client, _data: object, _mid: int, _reasons: list[ReasonCode], _: Properties | None
    ) -> None:
        self._subscribed = True

    def _take(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        self.heard.append((message.topic, bytes(message.payload)))
