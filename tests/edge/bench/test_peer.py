from __future__ import annotations

from pathlib import Path

import pytest

from edgeloop.edge.bench.peer import find_peer, run_peer
from edgeloop.models.errors import UnavailableError


def test_ultralytics_runs_the_same_model(block_model: Path, clip: Path) -> None:
    try:
        yolo = find_peer()
    except UnavailableError:
        pytest.skip("no ultralytics here: pip install ultralytics")
    fresh = run_peer(yolo, block_model, clip, frames=5, provider="cpu", confidence=0.25)
    assert fresh.fps > 0
    assert fresh.peak_memory_mb > 100
