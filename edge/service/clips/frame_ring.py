"""Small pictures of cameras that give no compressed packets, as a ring of JPEGs."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import cv2

from edgeloop.edge.host.opencv import encode_image
from edgeloop.edge.result import Result, Sink
from edgeloop.edge.sources.packets.packet_ring import Packet, PacketFormat, PacketRing

if TYPE_CHECKING:
    from edgeloop.edge.frame import Frame

__all__ = ["FrameEncoder", "FrameRing"]

FPS = 5.0
"""Pictures a second."""

MAX_SIDE = 640
"""Longer side of a picture in pixels; smaller frames stay as they are."""

_QUALITY = 75
_MAX_BYTES = 16_000_000


class FrameRing(Sink):
    """Sink that leaves a few frames a second to an encoder. Idle while its camera gives packets.

    Attributes:
        ring: The JPEGs.
    """

    def __init__(self, bell: threading.Event, seconds: float, packets: PacketRing | None) -> None:
        """Start empty.

        Args:
            bell: Set when a frame waits for the encoder.
            seconds: Time in seconds that is kept.
            packets: Packets of the camera; None if it keeps none.
        """
        self.ring = PacketRing(seconds, max_bytes=_MAX_BYTES)
        self._connection = self.ring.connect()
        self._bell, self._packets = bell, packets
        self._due_at = float("-inf")
        self._frame: Frame | None = None

    def write(self, result: Result) -> None:
        """Leave the frame to the encoder, if one is due; it replaces one that still waits."""
        at = result.frame.captured_at
        if at < self._due_at or (self._packets is not None and self._packets.size):
            return
        self._due_at = max(self._due_at + 1 / FPS, at + 0.5 / FPS)
        self._frame = result.frame
        self._bell.set()

    def close(self) -> None:
        """Do nothing: events of the last frames may still be on their way."""

    def encode(self) -> None:
        """Encode the frame that waits."""
        frame, self._frame = self._frame, None
        if frame is None:
            return
        image = frame.image
        height, width = image.shape[:2]
        scale = min(1.0, MAX_SIDE / max(height, width))
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        if scale < 1:
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        data = encode_image(".jpg", image, quality=_QUALITY)
        form = PacketFormat("mjpeg", b"%dx%d" % size)
        self.ring.add(self._connection, Packet(data, True, frame.captured_at, form))


class FrameEncoder:
    """Thread that encodes the frames of all rings."""

    def __init__(self) -> None:
        """Start without rings."""
        self.rings: list[FrameRing] = []
        self.bell = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="clips frames", daemon=True)

    def start(self) -> None:
        """Start to encode."""
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._stopping = True
        self.bell.set()
        if self._thread.is_alive():
            self._thread.join(1.0)

    def _run(self) -> None:
        while not self._stopping:
            self.bell.wait()
            self.bell.clear()
            for ring in self.rings:
                with suppress(cv2.error):
                    ring.encode()
