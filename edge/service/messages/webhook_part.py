"""Webhook: each event is posted to one address, in order, until the server there has taken it."""

from __future__ import annotations

import hashlib
import json
import logging
import threading
import time
from http import HTTPStatus
from http.client import HTTPException

from edgeloop.edge.service.board import Board
from edgeloop.edge.service.messages.camera_states import dump_json
from edgeloop.edge.service.messages.outage import Outage
from edgeloop.edge.service.messages.poster import Poster
from edgeloop.edge.service.messages.spool import Spool
from edgeloop.edge.service.service_config import ServiceConfig
from edgeloop.edge.service.service_part import EventListener, ServiceEvent, ServicePart
from edgeloop.edge.source_name import shown_name

__all__ = ["WebhookPart"]

log = logging.getLogger(__name__)

FIGURES_S = 0.5
"""Seconds between two updates of the figures on the board while nothing is sent."""

MAX_PAUSE_S = 60.0

PAUSE_SHARE = 1 / 15
"""Pause as a share of the outage: more than for a broker, as each attempt is a whole request."""

TEMPORARY = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS)
"""Client errors after which the same request may succeed later."""


class WebhookPart(ServicePart):
    """Part of the service that posts events to one address."""

    def __init__(self, number: int, config: ServiceConfig, board: Board) -> None:
        """Open its spool.

        Args:
            number: Index in `config.webhooks`.
            config: Configuration of the service.
            board: Where its figures are shown, as `webhook_1` and so on.
        """
        webhook = config.webhooks[number]
        url = webhook.url.get_secret_value()
        headers = {name: value.get_secret_value() for name, value in webhook.headers.items()}
        self._poster = Poster(url, headers, webhook.timeout_s)
        self._kinds, self._device, self._board = frozenset[str](webhook.events), config.name, board
        self._part = f"webhook_{number + 1}"
        folder = config.state / "spool" / f"webhook_{_key(config, number)}"
        self._spool = Spool(folder, max_mb=webhook.spool_mb, keep_free_mb=config.health.free_mb)
        name = f"webhook {number + 1} ({shown_name(url)})"
        self._outage = Outage(name, self._part, share=PAUSE_SHARE, max_pause_s=MAX_PAUSE_S)
        self._sent = self._refused = self._retries = 0
        self._failing = False
        self._told: set[int] = set()
        self._wake, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"webhook {number + 1}", daemon=True)

    def listener(self) -> EventListener:
        """Return the consumer of events."""
        return self._take

    def start(self) -> None:
        """Start to post; a server that is away is waited for."""
        self._show()
        self._spool.start()
        self._thread.start()

    def close(self) -> None:
        """Break off the request in hand, and leave on disk what was not taken."""
        self._stop.set()
        self._wake.set()
        self._poster.abort()
        if self._thread.is_alive():
            self._thread.join(1.0)
        self._spool.close()

    def _take(self, event: ServiceEvent) -> None:
        if event.kind in self._kinds:
            self._spool.append(dump_json({"device": self._device, **event.as_dict()}).encode())
            self._wake.set()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._wake.clear()
            self._show()
            while (record := self._spool.take()) is not None:
                if not self._deliver(record[1]):
                    break
                self._spool.acknowledge(record[0])
                self._show()
            self._wake.wait(FIGURES_S)
        self._poster.close()

    def _deliver(self, body: bytes) -> bool:
        """Post one event until it is taken or refused; False if told to stop before."""
        headers = {"X-Edgeloop-Event": json.loads(body)["id"]}
        while not self._stop.is_set():
            wait_s = 0.0
            try:
                status, wait_s = self._poster.post(body, headers)
            except Exception as error:  # whatever it is, the next attempt may do better
                reason = _describe(error)
            else:
                if self._is_final(status):
                    return True
                reason = f"answers {_phrase(status)}"
            if self._stop.is_set():
                return False
            self._failing = True
            self._retries += 1
            self._outage.begin(reason)
            self._pause(max(wait_s, self._outage.pause_s()))
        return False

    def _is_final(self, status: int) -> bool:
        """Count an answer after which the event is done with."""
        if 200 <= status < 300:
            self._sent += 1
            self._told.clear()
        elif 400 <= status < 500 and status not in TEMPORARY:
            self._refused += 1
            if status not in self._told:
                self._told.add(status)
                log.warning(
                    "%s: answers %s: the event is dropped, and others that it refuses, too",
                    self._outage.name,
                    _phrase(status),
                    extra={"event": "webhook-refused", "part": self._part},
                )
        else:
            return False
        self._failing = False
        self._outage.end()
        return True

    def _pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self._stop.wait(min(left, FIGURES_S)):
            self._show()

    def _show(self) -> None:
        self._board.set_figures(
            self._part,
            sent=self._sent,
            spooled=self._spool.waiting,
            overflowed=self._spool.overflowed,
            refused=self._refused,
            retries=self._retries,
            failing=int(self._failing),
        )


def _key(config: ServiceConfig, number: int) -> str:
    """Name the spool by its address, so that one moved in the configuration keeps it."""
    urls = [webhook.url.get_secret_value() for webhook in config.webhooks[: number + 1]]
    return hashlib.sha256(f"{urls[:-1].count(urls[-1])} {urls[-1]}".encode()).hexdigest()[:12]


def _describe(error: Exception) -> str:
    """Say why there is no answer, without the address."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, HTTPException):
        return f"gives an answer that is no HTTP ({type(error).__name__})"
    return f"no connection ({getattr(error, 'strerror', None) or type(error).__name__})"


def _phrase(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
