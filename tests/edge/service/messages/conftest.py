"""Fixtures of the tests of messages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.edge.service.messages.mosquitto import Broker, mosquitto


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A broker that lets everybody in, not started yet."""
    if mosquitto() is None:
        pytest.skip("no MQTT broker: apt install mosquitto")
    broker = Broker(tmp_path)
    yield broker
    broker.kill()
