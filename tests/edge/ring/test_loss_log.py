"""Losses of a ring are said when they begin and when they are over, and do not flood the log."""

from __future__ import annotations

import logging

import pytest

from edgeloop.edge.ring.loss_log import PAUSE_S, LossLog


def test_a_loss_and_its_end_are_said_at_most_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "edgeloop.edge.ring")
    now = [0.0]
    losses = LossLog(lambda: now[0])
    for _ in range(100):
        losses.lost("random", "the disk does not keep up")
        losses.written("random", "folder")
    assert [record.__dict__["event"] for record in caplog.records] == ["ring-lost", "ring-back"]
    now[0] = PAUSE_S
    losses.lost("random", "no room")
    assert caplog.records[-1].getMessage() == "ring: not written: no room (99 more lost before)"


def test_a_loss_that_lasts_is_said_as_soon_as_a_minute_is_over(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "edgeloop.edge.ring")
    now = [0.0]
    losses = LossLog(lambda: now[0])
    losses.lost("random", "no room")
    losses.written("random")
    for now[0] in (1.0, PAUSE_S - 1, PAUSE_S, PAUSE_S + 1):
        losses.lost("ranked", "no room")
    assert [record.getMessage() for record in caplog.records] == [
        "ring: not written: no room",
        "ring: written again",
        "ring: not written: no room (2 more lost before)",
    ]


def test_it_is_over_when_all_places_are_written(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "edgeloop.edge.ring")
    losses = LossLog()
    losses.lost("random", "no room")
    losses.lost("ranked", "no room")
    losses.written("random", "folder")
    assert len(caplog.records) == 1
    losses.written("ranked", "folder")
    assert caplog.records[-1].getMessage() == "ring: written again (1 more lost before)"
