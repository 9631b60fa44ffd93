"""Counting of tracked objects in zones and over lines.

An object is at its footprint: where its mask touches the ground, or the bottom center of its box. This
jitters, so an object leaves a zone, or changes the side of a line, only when it is further from the edge than
a margin.
"""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import cv2
import numpy as np

from edgeloop.edge.tracking.footprint import footprints
from edgeloop.edge.tracking.tracker import LOST_S, NO_ID
from edgeloop.edge.tracking.zone_file import Line, Zone, ZoneFile, check_places, same_shape
from edgeloop.models.detections import Detections
from edgeloop.models.errors import DataError

__all__ = ["Event", "Side", "ZoneCounter", "ZoneTotals"]

Side = Literal["in", "out"]
T = TypeVar("T")

_ALL = range(sys.maxsize)

MARGIN = 0.05
"""Hysteresis at an edge, as a share of the height of the box."""

FORGET_S = 1.5 * LOST_S
"""Seconds unseen after which an object has left; later than the tracker drops its id."""


@dataclass(frozen=True, slots=True)
class Event:
    """Event of one object.

    Attributes:
        kind: `enter` or `leave` a zone, `dwell` in it for the time that it states, or `cross` a line.
        place: Name of the zone or line.
        tracker_id: Id of the object.
        class_id: Class of the object; in a zone the one it entered with.
        dwell_s: Time inside in seconds, of `leave` and `dwell`.
        direction: Side of the line that was entered, of `cross`.
    """

    kind: Literal["enter", "leave", "dwell", "cross"]
    place: str
    tracker_id: int
    class_id: int
    dwell_s: float | None = None
    direction: Side | None = None


@dataclass(frozen=True, slots=True)
class ZoneTotals:
    """Totals of one class in one zone.

    Attributes:
        entered: Number of objects that entered or appeared inside.
        left: Number of objects that left or disappeared.
        inside: Number of objects inside now.
        dwell_s: Mean dwell time in seconds of those that left; None before the first.
    """

    entered: int
    left: int
    inside: int
    dwell_s: float | None


@dataclass(slots=True)
class _Object:
    """One tracked detection: footprint and margin in pixels."""

    tracker_id: int
    class_id: int
    x: float
    y: float
    margin: float


class ZoneCounter:
    """Counts objects in the zones and over the lines of one source."""

    def __init__(self, zones: ZoneFile, names: Sequence[str], origin: str) -> None:
        """Start at zero.

        Args:
            zones: Zones and lines. `zones` has them in pixels of the frames, once the first frame is known.
            names: The model's class names.
            origin: File of the zones, for errors.
        """
        self.zones = self._given = zones
        self._names = names
        self._origin = origin
        self._size = (0, 0)
        self._zones = [_ZoneCount(zone, names) for zone in zones.zones]
        self._lines = [_LineCount(line, names) for line in zones.lines]

    def update(self, detections: Detections, size: tuple[int, int], at_s: float) -> tuple[Event, ...]:
        """Count in the next frame.

        Args:
            detections: Detections with `tracker_id`; rows without an id do not count.
            size: Width and height of the frame in pixels.
            at_s: Time of the frame in seconds, later than the one before.

        Returns:
            Events since the frame before.

        Raises:
            DataError: A zone or line reaches beyond the frame, so it was drawn on another one; or it was in
                pixels, and the frames have another shape now.
        """
        if size != self._size:
            self._fit(size)
        objects = list(_objects(detections))
        counts: list[_ZoneCount | _LineCount] = [*self._zones, *self._lines]
        return tuple(event for count in counts for event in count.update(objects, at_s))

    def zone_totals(self) -> dict[str, dict[str, ZoneTotals]]:
        """Totals by zone and class, of the classes that were inside."""
        return {count.zone.name: self._named(count.totals()) for count in self._zones}

    def line_totals(self) -> dict[str, dict[str, dict[Side, int]]]:
        """Crossings by line, class and direction, of the classes that crossed."""
        return {count.line.name: self._named(count.totals()) for count in self._lines}

    def _named(self, totals: Mapping[int, T]) -> dict[str, T]:
        return {self._names[class_id]: total for class_id, total in sorted(totals.items())}

    def _fit(self, size: tuple[int, int]) -> None:
        """Place the zones on frames of a new size."""
        (width, height), (old_width, old_height) = size, self._size
        if self._given.in_shares:
            self.zones = self._given.scaled(width, height)
        elif old_width == 0:
            check_places(f"zones {self._origin}", self.zones, size)
        elif not same_shape(size, self._size):
            raise DataError(
                f"zones {self._origin}: the frames were {old_width}x{old_height} and are {width}x{height} "
                "now, so nobody can tell where the places are; give one file for each shape"
            )
        else:
            self.zones = self.zones.scaled(width / old_width, height / old_height)
        self._size = size
        for zone_count, zone in zip(self._zones, self.zones.zones, strict=True):
            zone_count.place(zone)
        for line_count, line in zip(self._lines, self.zones.lines, strict=True):
            line_count.place(line)


@dataclass(slots=True)
class _Stay:
    class_id: int
    entered_s: float
    seen_s: float
    reported: bool = False


class _ZoneCount:
    """Objects in one zone, and totals of those that were."""

    def __init__(self, zone: Zone, names: Sequence[str]) -> None:
        self._classes = _class_ids(zone.classes, names)
        self.place(zone)
        self._stays: dict[int, _Stay] = {}
        self._entered: Counter[int] = Counter()
        self._left: Counter[int] = Counter()
        self._dwell_s: defaultdict[int, float] = defaultdict(float)

    def place(self, zone: Zone) -> None:
        self.zone = zone
        self._corners = np.array(zone.polygon, np.float32)

    def update(self, objects: Sequence[_Object], at_s: float) -> Iterator[Event]:
        for found in objects:
            inside_px = cv2.pointPolygonTest(self._corners, (found.x, found.y), True)
            stay = self._stays.get(found.tracker_id)
            if stay is None:
                if inside_px >= 0 and found.class_id in self._classes:
                    self._stays[found.tracker_id] = _Stay(found.class_id, at_s, at_s)
                    self._entered[found.class_id] += 1
                    yield Event("enter", self.zone.name, found.tracker_id, found.class_id)
                continue
            stay.seen_s = at_s
            if inside_px < -found.margin:
                yield self._leave(found.tracker_id)
        for tracker_id, stay in list(self._stays.items()):
            if at_s - stay.seen_s > FORGET_S:
                yield self._leave(tracker_id)
            elif self.zone.dwell_s is not None and not stay.reported:
                dwell_s = stay.seen_s - stay.entered_s
                if dwell_s >= self.zone.dwell_s:
                    stay.reported = True
                    yield Event("dwell", self.zone.name, tracker_id, stay.class_id, round(dwell_s, 3))

    def totals(self) -> dict[int, ZoneTotals]:
        inside = Counter(stay.class_id for stay in self._stays.values())
        return {
            class_id: ZoneTotals(
                entered=entered,
                left=self._left[class_id],
                inside=inside[class_id],
                dwell_s=round(self._dwell_s[class_id] / left, 3) if (left := self._left[class_id]) else None,
            )
            for class_id, entered in self._entered.items()
        }

    def _leave(self, tracker_id: int) -> Event:
        stay = self._stays.pop(tracker_id)
        dwell_s = stay.seen_s - stay.entered_s
        self._left[stay.class_id] += 1
        self._dwell_s[stay.class_id] += dwell_s
        return Event("leave", self.zone.name, tracker_id, stay.class_id, round(dwell_s, 3))


@dataclass(slots=True)
class _LastSide:
    """Last position of an object outside the margin of a line; `side` is 1 on the right, -1 on the left."""

    x: float
    y: float
    side: float
    seen_s: float


class _LineCount:
    """Sides of the objects at one line, and counts of those that crossed it."""

    def __init__(self, line: Line, names: Sequence[str]) -> None:
        self.line = line
        self._classes = _class_ids(line.classes, names)
        self._sides: dict[int, _LastSide] = {}
        self._crossed: dict[int, dict[Side, int]] = {}

    def place(self, line: Line) -> None:
        self.line = line
        self._sides.clear()  # they are in pixels of other frames

    def update(self, objects: Sequence[_Object], at_s: float) -> Iterator[Event]:
        for found in objects:
            before = self._sides.get(found.tracker_id)
            right_px = _right_px(self.line.start, self.line.end, (found.x, found.y))
            if before is not None:
                before.seen_s = at_s
            if abs(right_px) < found.margin:
                continue
            now = _LastSide(found.x, found.y, np.sign(right_px), at_s)
            self._sides[found.tracker_id] = now
            if before is not None and found.class_id in self._classes and self._crosses(before, now):
                direction: Side = "in" if now.side > 0 else "out"
                counts = self._crossed.setdefault(found.class_id, {"in": 0, "out": 0})
                counts[direction] += 1
                yield Event("cross", self.line.name, found.tracker_id, found.class_id, direction=direction)
        for tracker_id, last in list(self._sides.items()):
            if at_s - last.seen_s > FORGET_S:
                del self._sides[tracker_id]

    def totals(self) -> dict[int, dict[Side, int]]:
        return self._crossed

    def _crosses(self, before: _LastSide, now: _LastSide) -> bool:
        """True if the path leads through the line, and not past one of its ends."""
        if before.side == now.side:
            return False
        path = (before.x, before.y), (now.x, now.y)
        return _right_px(*path, self.line.start) * _right_px(*path, self.line.end) <= 0


def _objects(detections: Detections) -> Iterator[_Object]:
    if detections.tracker_id is None:
        raise ValueError("zones count objects that a tracker follows; these detections have no tracker_id")
    heights = detections.xyxy[:, 3] - detections.xyxy[:, 1]
    columns = detections.tracker_id, detections.class_id, footprints(detections), heights
    for tracker_id, class_id, (x, y), height in zip(*(c.tolist() for c in columns), strict=True):
        if tracker_id != NO_ID:
            yield _Object(tracker_id, class_id, x, y, max(1.0, MARGIN * height))


def _class_ids(classes: Sequence[str] | None, names: Sequence[str]) -> Container[int]:
    """Numbers of the classes that count; all if there are none, also those that a later model adds."""
    return _ALL if classes is None else {number for number, name in enumerate(names) if name in classes}


def _right_px(start: tuple[float, float], end: tuple[float, float], point: tuple[float, float]) -> float:
    """Signed distance in pixels from the line through two points, positive on its right as on the screen."""
    along_x, along_y = end[0] - start[0], end[1] - start[1]
    length = float(np.hypot(along_x, along_y))
    return (along_x * (point[1] - start[1]) - along_y * (point[0] - start[0])) / length
