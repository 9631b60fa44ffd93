"""Zones and lines of a project: the zone file that `edgeloop run --zones` takes."""
