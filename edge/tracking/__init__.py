"""Object tracking, counting in zones and over lines, and masks of what to ignore."""

from edgeloop.edge.tracking.counter import Event, ZoneCounter, ZoneTotals
from edgeloop.edge.tracking.ignore_mask import IgnoreMask
from edgeloop.edge.tracking.tracker import Tracker, open_tracker
from edgeloop.edge.tracking.zone_file import Line, Zone, ZoneFile, read_zones

__all__ = [
    "Event",
    "IgnoreMask",
    "Line",
    "Tracker",
    "Zone",
    "ZoneCounter",
    "ZoneFile",
    "ZoneTotals",
    "open_tracker",
    "read_zones",
]
