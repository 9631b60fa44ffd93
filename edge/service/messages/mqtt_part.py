"""MQTT: events that are never lost, states, pictures, and the announcement to Home Assistant.

Events go through a spool and leave it when the broker has acknowledged them (QoS 1), so that each arrives
at least once and in order; its `id` tells one that comes again. All else is of the moment: what is not sent
while the broker is away is sent anew when it is back, or not at all.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence

from edgeloop.edge.result import Sink
from edgeloop.edge.service.board import Board, CameraState
from edgeloop.edge.service.messages.broker import broker_name, connect, hang_up, make_client
from edgeloop.edge.service.messages.camera_states import CameraStates, dump_json
from edgeloop.edge.service.messages.discovery import announcements
from edgeloop.edge.service.messages.mqtt_session import MqttSession
from edgeloop.edge.service.messages.outage import Outage
from edgeloop.edge.service.messages.snapshots import Snapshots
from edgeloop.edge.service.messages.spool import Spool
from edgeloop.edge.service.messages.topics import Topics
from edgeloop.edge.service.service_config import ServiceConfig
from edgeloop.edge.service.service_part import EventListener, ServiceEvent, ServicePart
from edgeloop.models.errors import EdgeloopError, UnavailableError

__all__ = ["MqttPart"]

log = logging.getLogger(__name__)

MAX_PAUSE_S = 30.0

PAUSE_SHARE = 1 / 40
"""Pause as a share of the outage: a broker that was away for a minute is found within two seconds."""

FIGURES_S = 0.1
"""Seconds between two updates of the figures on the board while the broker is away."""


class MqttPart(ServicePart):
    """Part of the service that speaks to the broker."""

    def __init__(self, config: ServiceConfig, board: Board) -> None:
        """Open the spool; the connection begins with `start`."""
        if config.mqtt is None:
            raise ValueError("the configuration has no broker")
        self._config, self._mqtt, self._board = config, config.mqtt, board
        self._topics = Topics.of(config)
        folder = config.state / "spool" / "mqtt"
        self._spool = Spool(folder, max_mb=self._mqtt.spool_mb, keep_free_mb=config.health.free_mb)
        self._snapshots = Snapshots()
        self._states: dict[str, CameraStates] = {}
        self._session: MqttSession | None = None
        self._sent = self._connections = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)

    def sinks(self, camera: CameraState) -> Sequence[Sink]:
        """Make the sink that keeps the states of a camera."""
        self._states[camera.name] = CameraStates(camera)
        return [self._states[camera.name]]

    def listener(self) -> EventListener:
        """Return the consumer of events."""
        return self._take

    def start(self) -> None:
        """Start to connect; a broker that is away is waited for.

        Raises:
            NoInputError: The file of certificates cannot be read.
            DataError: It holds none.
        """
        make_client(self._mqtt, "")
        self._show()
        self._spool.start()
        self._snapshots.start()
        self._thread.start()

    def close(self) -> None:
        """Say goodbye, and leave on disk what was not sent."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(1.0)
        self._snapshots.close()
        self._spool.close()

    def _take(self, event: ServiceEvent) -> None:
        content = {**event.as_dict(), "event_type": event.kind}  # the name that Home Assistant asks for
        self._spool.append(f"{event.camera} {dump_json(content)}".encode())
        if self._mqtt.snapshots and self._session is not None:
            self._snapshots.offer(event)
        elif self._mqtt.snapshots:
            self._snapshots.drop(1)

    def _run(self) -> None:
        outage = Outage(broker_name(self._mqtt), "mqtt", share=PAUSE_SHARE, max_pause_s=MAX_PAUSE_S)
        while not self._stop.is_set():
            reason = self._connect(outage)
            if self._stop.is_set():
                return
            outage.begin(reason)
            until = time.monotonic() + outage.pause_s()
            while time.monotonic() < until and not self._stop.wait(FIGURES_S):
                self._show()

    def _connect(self, outage: Outage) -> str:
        """Connect once. Returns why the connection could not be made, or was lost."""
        try:
            client = make_client(self._mqtt, f"edgeloop-{self._topics.base}")
        except EdgeloopError as error:  # such as certificates that are being replaced
            return str(error)
        client.will_set(self._topics.status, "offline", qos=1, retain=True)
        try:
            connect(client, self._mqtt)
            self._connections += 1
            self._session = MqttSession(
                client,
                self._topics,
                announcements(self._config, self._topics, self._board.cameras),
                self._states,
                self._snapshots,
                self._spool,
                self._config.state / "mqtt_announced.json",
            )
            outage.end()
            return self._session.serve(self._stop, self._show)
        except UnavailableError as error:
            return str(error).removeprefix(f"{outage.name}: ")
        except Exception as error:  # whatever it is, the next connection may do better
            return f"{type(error).__name__}: {error}"
        finally:
            if self._session is not None:
                self._sent += self._session.sent
                self._session = None
            hang_up(client)
            self._snapshots.drop(len(self._snapshots.done))
            self._snapshots.done.clear()

    def _show(self) -> None:
        session = self._session
        self._board.set_figures(
            "mqtt",
            connected=int(session is not None),
            sent=self._sent + (0 if session is None else session.sent),
            spooled=self._spool.waiting,
            overflowed=self._spool.overflowed,
            snapshots_dropped=self._snapshots.dropped,
            reconnects=max(0, self._connections - 1),
        )
