"""A Ray cluster of two nodes on this machine."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.labeling.workers.small_cluster import SmallCluster


@pytest.fixture(scope="session")
def cluster(_slow: None) -> Iterator[SmallCluster]:
    pytest.importorskip("ray", reason="needs Ray: pip install 'edgeloop[ray]'")
    from tests.labeling.workers.small_cluster import SmallCluster

    folder = Path(tempfile.mkdtemp(prefix="ray-"))  # short: sockets lie in it
    cluster = SmallCluster(folder)
    yield cluster
    cluster.shutdown()
    shutil.rmtree(folder)
