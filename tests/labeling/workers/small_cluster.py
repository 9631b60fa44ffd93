"""Nodes of Ray on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ray.cluster_utils import Cluster

_NODE = {"include_dashboard": False, "num_cpus": 1, "object_store_memory": 100_000_000}


class SmallCluster:
    """Cluster of two nodes with one core each.

    Attributes:
        temporary: Folder for temporary files of the workers.
        address: HOST:PORT.
    """

    def __init__(self, folder: Path) -> None:
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        self._folder = folder
        self._cluster: Any = Cluster()
        self.add_node()
        self.add_node()
        self.address = str(self._cluster.address)

    def add_node(self) -> Any:
        with pytest.MonkeyPatch.context() as patched:
            patched.setenv("RAY_USAGE_STATS_ENABLED", "0")
            patched.setenv("RAY_worker_niceness", "0")  # else whatever else runs here comes first
            patched.setenv("RAY_TMPDIR", str(self._folder))
            patched.setenv("TMPDIR", str(self.temporary))
            return self._cluster.add_node(**_NODE)

    def remove_node(self, node: Any) -> None:
        """Kill a node with all its workers."""
        self._cluster.remove_node(node, allow_graceful=False)

    def shutdown(self) -> None:
        self._cluster.shutdown()
