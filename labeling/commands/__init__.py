"""Commands `edgeloop collect`, `label`, `stats` and `audit`."""

from edgeloop.labeling.commands.collect import collect
from edgeloop.labeling.commands.label import label
from edgeloop.labeling.commands.stats import stats

__all__ = ["collect", "label", "stats"]
