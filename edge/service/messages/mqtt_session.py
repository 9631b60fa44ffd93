"""One connection to the broker, from the moment that it is accepted until it is lost."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from paho.mqtt.client import Client, MQTTMessage, error_string
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edgeloop.edge.service.messages.camera_states import CameraStates
from edgeloop.edge.service.messages.discovery import Announcement, Ledger
from edgeloop.edge.service.messages.snapshots import Snapshots
from edgeloop.edge.service.messages.spool import Spool
from edgeloop.edge.service.messages.topics import Topics
from edgeloop.models.errors import EdgeloopError

__all__ = ["MqttSession"]

log = logging.getLogger(__name__)

IN_FLIGHT = 20
"""Number of events that wait for their acknowledgement at a time."""

ANSWER_S = 20.0
"""Seconds without an acknowledgement after which the connection is given up."""

STATES_S = 0.5
"""Seconds between two looks at the states; each is published if it changed."""

TICK_S = 0.05
"""Seconds between two looks at the spool."""

BIRTH_DELAY_S = (0.2, 3.0)
"""Range of the random delay in seconds after the start of Home Assistant: not all devices speak at once."""

GOODBYE_S = 0.4
"""Longest wait in seconds for the acknowledgement of the last events, and then for that of the goodbye."""


class MqttSession:
    """One connection to the broker.

    Attributes:
        sent: Number of events that the broker acknowledged.
    """

    def __init__(
        self,
        client: Client,
        topics: Topics,
        announced: list[Announcement],
        states: Mapping[str, CameraStates],
        snapshots: Snapshots,
        spool: Spool,
        ledger: Path,
    ) -> None:
        """Take over a client that is connected.

        Args:
            client: The client.
            topics: Topics of this device.
            announced: Announcements to Home Assistant.
            states: States by name of the camera.
            snapshots: Pictures of events.
            spool: Events.
            ledger: File that remembers what is retained at the broker.
        """
        self._client, self._topics, self._announced = client, topics, announced
        self._states, self._snapshots, self._spool, self._ledger = states, snapshots, spool, ledger
        self.sent = 0
        self._in_flight: dict[int, tuple[int, float]] = {}
        self._published: dict[str, str] = {}
        self._looked_at = 0.0
        self._announcing: set[int] = set()
        self._announce_at: float | None = 0.0
        client.on_publish = self._note_acknowledged
        client.on_message = self._take_message

    def serve(self, stop: threading.Event, on_tick: Callable[[], None]) -> str:
        """Publish what there is until the connection is lost, or it is told to stop.

        Args:
            stop: Set to end.
            on_tick: Called many times a second.

        Returns:
            Reason of the loss.
        """
        self._spool.rewind()
        self._client.publish(self._topics.status, "online", qos=1, retain=True)
        births = {f"{each.topic.partition('/device/')[0]}/status" for each in self._announced[:1]}
        wanted = {self._topics.status, *births, *(["homeassistant/status"] if births else [])}
        self._client.subscribe([(topic, 1) for topic in sorted(wanted)])
        while not stop.is_set():
            done = self._client.loop(TICK_S)
            if done != MQTTErrorCode.MQTT_ERR_SUCCESS:
                known = done == MQTTErrorCode.MQTT_ERR_CONN_LOST
                return "the connection is lost" + ("" if known else f" ({error_string(done).rstrip('.')})")
            now = time.monotonic()
            if any(now - sent_at > ANSWER_S for _, sent_at in self._in_flight.values()):
                return f"events were not acknowledged within {ANSWER_S:g} s"
            if self._announce_at is not None and now >= self._announce_at:
                self._announce()
            self._send_states(now)
            self._send_events(now)
            self._send_snapshots()
            on_tick()
        self._say_goodbye()
        return ""

    def _send_events(self, now: float) -> None:
        while len(self._in_flight) < IN_FLIGHT and (record := self._spool.take()) is not None:
            camera, _, content = record[1].partition(b" ")
            topic = self._topics.of_camera(camera.decode(), "events")
            self._in_flight[self._client.publish(topic, content, qos=1).mid] = record[0], now

    def _send_states(self, now: float) -> None:
        if now - self._looked_at < STATES_S or self._client.want_write():
            return
        self._looked_at = now
        for camera, states in self._states.items():
            for leaf, payload in states.payloads().items():
                topic = self._topics.of_camera(camera, leaf)
                if self._published.get(topic) != payload:
                    self._client.publish(topic, payload, retain=True)
                    self._published[topic] = payload

    def _send_snapshots(self) -> None:
        while self._snapshots.done and not self._client.want_write():
            camera, picture = self._snapshots.done.popleft()
            self._client.publish(self._topics.of_camera(camera, "snapshot"), picture, retain=True)

    def _announce(self) -> None:
        """Announce all devices, and remove what an earlier run left and this one does not have."""
        self._announce_at = None
        ledger, current = Ledger.read(self._ledger), self._current()
        self._remember(current.with_remains_of(ledger))
        for topic in ledger.retained:
            if topic not in current.retained:
                self._announcing.add(self._client.publish(topic, b"", qos=1, retain=True).mid)
        for each in self._announced:
            text = each.text(ledger.components.get(each.topic, {}))
            self._announcing.add(self._client.publish(each.topic, text, qos=1, retain=True).mid)

    def _current(self) -> Ledger:
        leaves = ("availability", "counts", "zones", "lines", "snapshot")
        states = [self._topics.of_camera(camera, leaf) for camera in self._states for leaf in leaves]
        return Ledger(
            retained=(*(each.topic for each in self._announced), *states, self._topics.status),
            components={each.topic: each.platforms for each in self._announced},
        )

    def _remember(self, ledger: Ledger) -> None:
        try:
            ledger.write(self._ledger)
        except EdgeloopError as error:
            log.warning("mqtt: what is announced cannot be remembered: %s", error)

    def _say_goodbye(self) -> None:
        self._client.on_message = None  # its own goodbye comes back, and is not to be corrected
        until = time.monotonic() + GOODBYE_S
        while (self._in_flight or self._spool.waiting) and time.monotonic() < until:
            self._send_events(time.monotonic())
            if self._client.loop(TICK_S) != MQTTErrorCode.MQTT_ERR_SUCCESS:
                return
        goodbye = self._client.publish(self._topics.status, "offline", qos=1, retain=True)
        until = time.monotonic() + GOODBYE_S
        while not goodbye.is_published() and time.monotonic() < until:
            if self._client.loop(TICK_S) != MQTTErrorCode.MQTT_ERR_SUCCESS:
                return
        self._client.disconnect()

    def _note_acknowledged(
        self, _client: Client, _data: object, mid: int, _reason: ReasonCode, _: Properties
    ) -> None:
        if (event := self._in_flight.pop(mid, None)) is not None:
            self._spool.acknowledge(event[0])
            self.sent += 1
        elif mid in self._announcing:
            self._announcing.remove(mid)
            if not self._announcing:
                self._remember(self._current())

    def _take_message(self, client: Client, _data: object, message: MQTTMessage) -> None:
        if message.topic == self._topics.status:
            if message.payload == b"offline":  # the will of an earlier connection, which came late
                client.publish(self._topics.status, "online", qos=1, retain=True)
        elif message.payload == b"online" and not message.retain:
            self._announce_at = time.monotonic() + random.uniform(*BIRTH_DELAY_S)
