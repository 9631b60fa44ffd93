"""Client that listens to a broker."""

from __future__ import annotations

from paho.mqtt.client import Client, ConnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from tests.waiting import until


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
        until(lambda: self._subscribed)

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
