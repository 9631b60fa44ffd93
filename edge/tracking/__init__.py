"""Polygons and lines in the picture that count the objects which enter, leave and cross them."""

from edgeloop.edge.tracking.counter import Event, ZoneCounter, ZoneTotals
from edgeloop.edge.tracking.zone_file import Line, Zone, ZoneFile, read_zones

__all__ = ["Event", "Line", "Zone", "ZoneCounter", "ZoneFile", "ZoneTotals", "read_zones"]
