"""Object tracking, and counting in zones and over lines."""

from edgeloop.edge.tracking.counter import Event, ZoneCounter, ZoneTotals
from edgeloop.edge.tracking.tracker import Tracker, open_tracker
from edgeloop.edge.tracking.zone_file import Line, Zone, ZoneFile, read_zones

__all__ = [
    "Event",
    "Line",
    "Tracker",
    "Zone",
    "ZoneCounter",
    "ZoneFile",
    "ZoneTotals",
    "open_tracker",
    "read_zones",
]
