"""Events of the service."""

from __future__ import annotations

import os
import runpy
import time

import pytest

from edgeloop.edge.service import service_part


def test_ids_do_not_repeat_after_a_boot_with_the_same_clock_and_process_id(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(time, "time", lambda: 0.0)
    monkeypatch.setattr(os, "getpid", lambda: 400)
    boots = [runpy.run_path(service_part.__file__)["_RUN"] for _ in range(2)]
    assert boots[0] != boots[1]
