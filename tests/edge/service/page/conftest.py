"""Page of a running service."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.edge.service.page.page_service import Running, config_of, page_of
from tests.served import until


@pytest.fixture(scope="module")
def service(block_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Two cameras, `belt` and `door`, that have given results."""
    state = tmp_path_factory.mktemp("page") / "state"
    with page_of(
        config_of(block_model, state, "belt", "door", health={"ready_s": 1.0, "free_mb": 0})
    ) as running:
        until(lambda: all(each.result_at for each in running.board.cameras.values()))
        yield running
