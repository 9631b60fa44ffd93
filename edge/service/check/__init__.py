"""Checks of a configuration: everything that it names is tried."""
