"""One clip of a camera, from before its first event to after its last."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av

from edgeloop.edge.host.disk_space import BudgetedFolder
from edgeloop.edge.service.clips.clip_writer import ClipWriter, clip_suffix
from edgeloop.edge.service.clips.event_files import event_name
from edgeloop.edge.service.service_part import ServiceEvent
from edgeloop.edge.sources.packets.packet_ring import Packet, PacketRing

__all__ = ["EventClip"]

MAX_S = 120.0
"""Longest clip in seconds of events that follow each other; the next event begins another one."""

LATE_S = 0.5
"""Seconds to wait after the end for packets of a camera that may be lost."""


class EventClip:
    """Clip of events of one camera that overlap, written as the packets arrive; named by the first event.

    Attributes:
        camera: Name of the camera.
        events: JSON of its events by their files.
        ends_at: Monotonic clock in seconds of its end.
        error: Failure that ended it early; None if there was none.
    """

    def __init__(
        self, event: ServiceEvent, ring: PacketRing, budget: BudgetedFolder, before_s: float, after_s: float
    ) -> None:
        """Begin without a packet.

        Args:
            event: Its first event.
            ring: Packets of the camera.
            budget: Folder of the clips.
            before_s: Seconds before the event.
            after_s: Seconds after each event.
        """
        self.camera, self._name = event.camera, event_name(event)
        self.events: dict[Path, dict[str, Any]] = {}
        self.error: Exception | None = None
        self._ring, self._budget = ring, budget
        self._before_s, self._after_s = before_s, after_s
        self._event_at, self._begins_at = event.captured_at, event.captured_at - before_s
        self.ends_at = event.captured_at + after_s
        self._wall = event.wall_time - event.captured_at
        self._next: int | None = None
        self._is_over = False
        self._writer: ClipWriter | None = None
        self._first: Packet | None = None
        self._last: Packet | None = None

    @property
    def path(self) -> Path | None:
        """The clip, once it is whole; None before its first packet."""
        return None if self._writer is None else self._writer.path

    def values(self) -> dict[str, Any]:
        """Build what the JSON of its events says of it: from when to when, as planned until it is over."""
        if self._writer is None or self._first is None or self._last is None:
            return {}
        until = self._last.arrived_at if self._is_over else self.ends_at
        begin, end = (round(self._wall + each, 3) for each in (self._first.arrived_at, until))
        return {"clip": self._writer.path.name, "clip_from": begin, "clip_to": end}

    def takes(self, event: ServiceEvent) -> bool:
        """True if the seconds of an event overlap with it: then it goes on to after that event."""
        end = event.captured_at + self._after_s
        is_apart = event.captured_at - self._before_s > self.ends_at or end > self._begins_at + MAX_S
        if self._is_over or event.camera != self.camera or is_apart:
            return False
        self.ends_at = max(self.ends_at, end)
        return True

    def write(self, now: float) -> bool:
        """Write the packets that have arrived.

        Args:
            now: Monotonic clock in seconds.

        Returns:
            True if the clip is over: no later event can overlap with it.
        """
        try:
            for packet in [] if self._is_over else self._arrived():
                if packet.arrived_at > self.ends_at:
                    break
                if self._first is not None and packet.format != self._first.format:
                    self._is_over = True
                    break
                self._add(packet)
        except (av.FFmpegError, OSError, ValueError) as error:
            self.error, self._is_over = error, True
        self._is_over = self._is_over or now > self.ends_at + max(self._before_s, LATE_S)
        return self._is_over

    def finish(self) -> None:
        """Give the clip its name; it is deleted if that fails, and if no event has come to it."""
        self._is_over = True
        writer = self._writer
        if writer is None:
            return
        try:
            if not self.events:
                raise FileNotFoundError("no event has come to it")
            writer.finish()
        except OSError as error:
            self.error = self.error or error
            self._writer = None
            writer.abandon()

    def _arrived(self) -> list[Packet]:
        if self._next is None:
            number = self._ring.start_of(self._begins_at)
            if number is None:
                return []
            first, packets = self._ring.since(number)
            begin = _last_change(packets, self._event_at)
            packets, first = packets[begin:], first + begin
        else:
            first, packets = self._ring.since(self._next)
        self._next = first
        return packets

    def _add(self, packet: Packet) -> None:
        if self._writer is not None:
            self._writer.add(packet)
        elif packet.is_key:
            path = self._budget.folder / f"{self._name}{clip_suffix(packet.format)}"
            self._writer, self._first = ClipWriter(path, packet, self._budget), packet
        self._last, self._next = packet, (self._next or 0) + 1


def _last_change(packets: list[Packet], until: float) -> int:
    """Position from which on the packets have the format that they have at a moment."""
    begin = 0
    for position, packet in enumerate(packets[1:], start=1):
        if packet.arrived_at > until:
            break
        if packet.format != packets[position - 1].format:
            begin = position
    return begin
