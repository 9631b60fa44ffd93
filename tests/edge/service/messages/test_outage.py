"""Outages are said once, and the pauses grow with them."""

from __future__ import annotations

import logging

import pytest

from edgeloop.edge.service.messages import outage
from edgeloop.edge.service.messages.outage import Outage


class Clock:
    """Clock that the test sets."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(outage, "time", clock)
    return clock


def pause(clock: Clock, broker: Outage, after_s: float) -> float:
    clock.now += after_s
    broker.begin("away")
    return broker.pause_s()


def test_pauses_grow_with_the_outage_and_not_with_the_time_before(clock: Clock) -> None:
    broker = Outage("broker", "mqtt", share=0.1, max_pause_s=20.0)
    assert pause(clock, broker, 86400.0) <= 1.2 * outage.MIN_PAUSE_S
    assert 0.8 * 6 <= pause(clock, broker, 60.0) <= 1.2 * 6
    assert 0.8 * 20 <= pause(clock, broker, 3600.0) <= 1.2 * 20
    broker.end()
    assert pause(clock, broker, 86400.0) <= 1.2 * outage.MIN_PAUSE_S


def test_a_return_of_a_moment_ends_no_outage(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    broker = Outage("broker", "mqtt", share=0.1, max_pause_s=20.0)
    broker.begin("refused")
    broker.begin("no answer")
    for _ in range(100):
        clock.now += 1.0
        broker.end()
        clock.now += 0.1
        broker.begin("refused")
    assert broker.pause_s() > 8
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "broker: refused (events wait on disk)"),
        ("INFO", "broker: no answer (events wait on disk)"),
        ("WARNING", "broker: there again"),
    ]
