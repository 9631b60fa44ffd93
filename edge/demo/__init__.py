"""The whole loop on the built-in conveyor: the same verbs that a user would call, one after the other."""

from edgeloop.edge.demo.loop import DemoPlan, run_demo

__all__ = ["DemoPlan", "run_demo"]
