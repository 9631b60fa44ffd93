"""The verbs of labeling: `edgeloop collect`, `edgeloop label` and `edgeloop stats`."""

from edgeloop.labeling.commands.collect import collect
from edgeloop.labeling.commands.label import label
from edgeloop.labeling.commands.stats import stats

__all__ = ["collect", "label", "stats"]
