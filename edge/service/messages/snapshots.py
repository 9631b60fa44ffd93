"""Pictures of events: the frame with the object in its box, as JPEG, encoded in a thread of their own."""

from __future__ import annotations

import logging
import queue
import threading
from collections import deque
from contextlib import suppress

from edgeloop.edge.service.event_picture import event_jpeg
from edgeloop.edge.service.service_part import ServiceEvent

__all__ = ["Snapshots"]

log = logging.getLogger(__name__)

WAITING = 4
"""Number of events, and of finished pictures, that wait; each event holds a whole frame."""


class Snapshots:
    """Encoder of the pictures of events.

    Attributes:
        dropped: Number of events without a picture, as too many came at once or nobody took them.
        done: Finished pictures with the name of their camera, the oldest first.
    """

    def __init__(self) -> None:
        """Start without events; `start` starts the thread."""
        self.dropped = 0
        self.done: deque[tuple[str, bytes]] = deque()
        self._events: queue.Queue[ServiceEvent | None] = queue.Queue(WAITING)
        self._lock = threading.Lock()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="snapshots", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def offer(self, event: ServiceEvent) -> None:
        """Take an event, if there is room. Never waits."""
        try:
            self._events.put_nowait(event)
        except queue.Full:
            self.drop(1)

    def drop(self, count: int) -> None:
        """Count events that get no picture."""
        with self._lock:
            self.dropped += count

    def close(self) -> None:
        """End the thread after the picture in hand."""
        self._stopped = True
        with suppress(queue.Full):
            self._events.put_nowait(None)
        if self._thread.is_alive():
            self._thread.join(0.5)

    def _run(self) -> None:
        fails = False
        while (event := self._events.get()) is not None and not self._stopped:
            try:
                picture = event_jpeg(event)
            except Exception as error:  # whatever it is, the next event may have a picture
                if not fails:
                    log.warning("camera %s: no picture of an event (%s)", event.camera, error)
                fails = True
                self.drop(1)
                continue
            fails = False
            if len(self.done) < WAITING:
                self.done.append((event.camera, picture))
            else:
                self.drop(1)
