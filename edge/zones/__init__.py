"""Polygons and lines in the picture that count the objects which enter, leave and cross them."""

from edgeloop.edge.zones.count import Event, ZoneCounter, ZoneTotals
from edgeloop.edge.zones.file import Line, Zone, ZoneFile, read_zones

__all__ = ["Event", "Line", "Zone", "ZoneCounter", "ZoneFile", "ZoneTotals", "read_zones"]
