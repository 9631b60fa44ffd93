"""Compressed packets of the last seconds of a camera."""

from __future__ import annotations

import itertools
import threading
from collections import deque
from dataclasses import dataclass

__all__ = ["Packet", "PacketFormat", "PacketRing"]

_MAX_BYTES = 64_000_000
"""Maximum size of the packets of one camera: 15 s at 34 Mbit/s."""


@dataclass(frozen=True, slots=True)
class PacketFormat:
    """Format of packets; those of one format fit into one file.

    Attributes:
        codec: "h264", "hevc" or "mjpeg".
        parameters: Parameter sets of H.264 and H.265, size of JPEG: bytes that are equal for equal formats.
    """

    codec: str
    parameters: bytes = b""


@dataclass(frozen=True, slots=True)
class Packet:
    """One compressed picture.

    Attributes:
        data: H.264 or H.265 with start codes (Annex B), in key frames with the parameter sets; or a JPEG.
        is_key: True if it can be decoded without those before it.
        arrived_at: Monotonic clock in seconds when it arrived.
        format: Its format.
        dts_s: Time of decoding in seconds on the clock of the stream; None if the stream has none.
        pts_s: Time of display on the same clock; None if the stream has none.
    """

    data: bytes
    is_key: bool
    arrived_at: float
    format: PacketFormat
    dts_s: float | None = None
    pts_s: float | None = None


class PacketRing:
    """Packets of the last seconds of a camera, from a key frame on. Bounded; for any threads.

    Each packet has a number, one more than that before it, also across connections. Of several connections to
    the same camera, the newest one that delivers gives its packets.
    """

    def __init__(self, seconds: float, *, max_bytes: int = _MAX_BYTES) -> None:
        """Start empty.

        Args:
            seconds: Time in seconds that is kept; packets before it are kept back to a key frame.
            max_bytes: Maximum size in bytes, which shortens the time.
        """
        self._seconds, self._max_bytes = seconds, max_bytes
        self._lock = threading.Lock()
        self._packets: deque[Packet] = deque()
        self._keys: deque[int] = deque()
        self._first = 0
        self._bytes = 0
        self._connections = itertools.count(1)
        self._giver = 0

    @property
    def size(self) -> int:
        """Size in bytes of its packets."""
        return self._bytes

    def connect(self) -> int:
        """Number a new connection."""
        return next(self._connections)

    def leave(self, connection: int) -> None:
        """End a connection: an older one that still delivers may give its packets again."""
        with self._lock:
            if self._giver == connection:
                self._giver = 0

    def add(self, connection: int, packet: Packet) -> None:
        """Add the newest packet of a connection. What no key frame of it precedes is left out."""
        with self._lock:
            is_next = connection == self._giver and self._packets
            if connection < self._giver or not (packet.is_key or is_next):
                return
            self._giver = connection
            if packet.is_key:
                self._keys.append(self._first + len(self._packets))
            self._packets.append(packet)
            self._bytes += len(packet.data)
            oldest = packet.arrived_at - self._seconds
            while self._packets and (self._bytes > self._max_bytes or self._has_key_before(oldest)):
                self._drop_group()

    def start_of(self, arrived_at: float) -> int | None:
        """Find the number of the key frame from which on a moment can be shown; None without packets.

        Args:
            arrived_at: Monotonic clock in seconds.

        Returns:
            The last key frame at or before it; the first one if all are later.
        """
        with self._lock:
            before = [each for each in self._keys if self._at(each).arrived_at <= arrived_at]
            return before[-1] if before else next(iter(self._keys), None)

    def since(self, number: int) -> tuple[int, list[Packet]]:
        """Read the packets from a number on.

        Returns:
            The number of the first packet, which is a later key frame if those between are gone; the packets.
        """
        with self._lock:
            first = max(number, self._first)
            return first, list(itertools.islice(self._packets, first - self._first, None))

    def _at(self, number: int) -> Packet:
        return self._packets[number - self._first]

    def _has_key_before(self, moment: float) -> bool:
        return len(self._keys) > 1 and self._at(self._keys[1]).arrived_at <= moment

    def _drop_group(self) -> None:
        """Drop the oldest key frame with all packets that need it."""
        self._keys.popleft()
        end = self._keys[0] if self._keys else self._first + len(self._packets)
        while self._first < end:
            self._bytes -= len(self._packets.popleft().data)
            self._first += 1
