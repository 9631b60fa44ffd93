"""`edgeloop audit` as a process: killed between two answers, taken up again, ended by Ctrl-C."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.labeling.audits import write_audited

COMMAND = "from edgeloop.labeling.commands.audit import audit; audit()"


@contextmanager
def started(dataset: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command and the address that it prints."""
    arguments = [sys.executable, "-c", COMMAND, str(dataset), "--boxes", "12", "--frames", "2"]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        lines = iter(process.stderr.readline, "")
        yield process, next(found[0] for line in lines if (found := re.search(r"http://\S+", line)))
    finally:
        process.kill()
        process.communicate(timeout=20)


def answer(url: str, index: int) -> None:
    message = json.dumps({"right": index != 1}).encode()
    address = f"{url}api/audit/boxes/{index}"
    request = urllib.request.Request(address, message, {"Content-Type": "application/json"}, method="PUT")
    with urllib.request.urlopen(request, timeout=20) as reply:
        assert reply.status == 200


@pytest.mark.slow
def test_killed_between_two_answers_it_goes_on_where_it_was(tmp_path: Path) -> None:
    dataset = write_audited(tmp_path / "dataset")
    with started(dataset) as (process, url):
        answer(url, 0)
        answer(url, 1)
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=20)
    with started(dataset) as (process, url):
        with urllib.request.urlopen(f"{url}api/audit", timeout=20) as reply:
            assert json.load(reply)["answers"] == {"boxes": [True, False], "frames": []}
        for index in range(2, 12):
            answer(url, index)
        with urllib.request.urlopen(f"{url}api/events", timeout=20) as stream:
            assert stream.readline() == b"retry: 1000\n"
            sent = time.monotonic()
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=20) == 130
        assert time.monotonic() - sent < 5  # 2 s without load
        assert process.stdout is not None
        printed = process.stdout.read()
    assert "0.917" in printed  # 11 of 12 boxes
    assert "no figure: 0 frames answered" in printed
