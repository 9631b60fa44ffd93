"""Pictures of events: the frame with the object in its box, as JPEG, encoded in a thread of their own."""

from __future__ import annotations

import logging
import queue
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress

import numpy as np

from edgeloop.edge.draw.annotate import annotate
from edgeloop.edge.host.opencv import encode_image
from edgeloop.edge.service.board import CameraState
from edgeloop.edge.service.service_part import ServiceEvent
from edgeloop.models.detections import Detections

__all__ = ["Snapshots", "encode_event"]

log = logging.getLogger(__name__)

WAITING = 4
"""Number of events, and of finished pictures, that wait; each event holds a whole frame."""

QUALITY = 85


class Snapshots:
    """Encoder of the pictures of events.

    Attributes:
        dropped: Number of events without a picture, as too many came at once or nobody took them.
        done: Finished pictures with the name of their camera, the oldest first.
    """

    def __init__(self, cameras: Mapping[str, CameraState]) -> None:
        """Start without events; `start` starts the thread."""
        self._cameras = cameras
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
                picture = encode_event(event, self._cameras[event.camera].stream.meter.names)
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


def encode_event(event: ServiceEvent, names: Sequence[str]) -> bytes:
    """Draw the object of an event into its frame and encode it as JPEG."""
    if event.xyxy is None:
        return encode_image(".jpg", event.image, quality=QUALITY)
    found = Detections(
        np.array([event.xyxy], np.float32),
        np.array([event.confidence or 0.0], np.float32),
        np.array([names.index(event.class_name)], np.int64),
        np.array([event.tracker_id], np.int64),
    )
    return encode_image(".jpg", annotate(event.image, found, names), quality=QUALITY)
