"""`edgeloop audit` as a process: killed between two answers, taken up again, ended by Ctrl-C."""

from __future__ import annotations

import signal
import subprocess
import time
import urllib.request
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.labeling.audits import write_audited
from tests.served import Served, started


def started_audit(dataset: Path) -> AbstractContextManager[tuple[subprocess.Popen[str], Served]]:
    return started("audit", dataset, "--boxes", 12, "--frames", 2)


def answer(served: Served, index: int) -> None:
    served.api("PUT", f"audit/boxes/{index}", {"right": index != 1})


@pytest.mark.slow
def test_killed_between_two_answers_it_goes_on_where_it_was(tmp_path: Path) -> None:
    dataset = write_audited(tmp_path / "dataset")
    with started_audit(dataset) as (process, served):
        answer(served, 0)
        answer(served, 1)
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=20)
    with started_audit(dataset) as (process, served):
        assert served.api("GET", "audit")["answers"] == {"boxes": [True, False], "frames": []}
        for index in range(2, 12):
            answer(served, index)
        with urllib.request.urlopen(f"{served.url}api/events", timeout=20) as stream:
            assert stream.readline() == b"retry: 1000\n"
            sent = time.monotonic()
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=20) == 130
        assert time.monotonic() - sent < 15  # 2 s without load
        assert process.stdout is not None
        printed = process.stdout.read()
    assert "0.917" in printed  # 11 of 12 boxes
    assert "no figure: 0 frames answered" in printed
