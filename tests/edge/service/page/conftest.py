"""Service that runs with its page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.edge.service.page.page_service import Running, config_of, running


@pytest.fixture(scope="package")
def service(block_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Two cameras, `belt` and `door`, that have given results."""
    with running(config_of(block_model, tmp_path_factory.mktemp("page"), "belt", "door")) as started:
        yield started
