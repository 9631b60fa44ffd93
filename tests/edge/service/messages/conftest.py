"""Fixtures of the tests of messages."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeloop.edge.service.messages import mqtt_session, outage, webhook_part
from tests.receivers import Broker, mosquitto_path


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten what is waited for, so that the tests need not."""
    for module, name in ((mqtt_session, "STATES_S"), (webhook_part, "FIGURES_S")):
        monkeypatch.setattr(module, name, 0.1)
    monkeypatch.setattr(outage, "MIN_PAUSE_S", 0.2)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A broker that lets everybody in, not started yet."""
    if mosquitto_path() is None:
        pytest.skip("no MQTT broker: apt install mosquitto")
    broker = Broker(tmp_path)
    yield broker
    broker.kill()


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Certificate of 127.0.0.1, its key beside it."""
    path = tmp_path / "cert.pem"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=here"]
    names = ["-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(path.with_name("key.pem")), "-out", str(path)]
    subprocess.run([*make, *names, *files], check=True, capture_output=True)
    return path
