"""The verbs of labeling: `edgeloop collect`, `edgeloop label` and `edgeloop stats`."""

from labeling.commands.collect import collect
from labeling.commands.label import label
from labeling.commands.stats import stats

__all__ = ["collect", "label", "stats"]
