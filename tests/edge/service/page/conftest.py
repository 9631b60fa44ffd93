"""Service that runs with its page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.edge.service.page.page_service import Running, config_of, running


@pytest.fixture(scope="module")
def service(block_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Two cameras, `belt` and `door`, that have given results; nobody answers at the broker and webhook."""
    sections = {
        "mqtt": {"host": "127.0.0.1", "port": 1},
        "webhooks": [{"url": "http://127.0.0.1:1/"}],
        "clips": {"before_s": 0.5, "after_s": 0.5},
        "ring": {"megabytes": 10},
    }
    with running(
        config_of(block_model, tmp_path_factory.mktemp("page"), "belt", "door", **sections)
    ) as started:
        yield started
