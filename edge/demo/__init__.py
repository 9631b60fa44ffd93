"""Demo of the whole loop on the built-in conveyor, through the verbs that a user would call."""

from edgeloop.edge.demo.loop import DemoPlan, run_demo

__all__ = ["DemoPlan", "run_demo"]
