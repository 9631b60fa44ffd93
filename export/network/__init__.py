"""Compact detector edgeloop-lite0 in plain torch."""
