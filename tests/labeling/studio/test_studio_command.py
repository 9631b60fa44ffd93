"""`edgeloop studio` as a process: what it refuses, how it ends, and that kill -9 loses nothing."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from edgeloop.edge.web.server import LOOPBACK, open_port
from tests.calls import Outcome
from tests.served import started

KEY = "0123456789abcdef"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_though_a_page_is_open(frames: Path, number: signal.Signals) -> None:
    with (
        started("studio", frames) as (process, served),
        urllib.request.urlopen(f"{served.url}api/events", timeout=20) as stream,
    ):
        assert stream.readline() == b"retry: 1000\n"
        sent = time.monotonic()
        process.send_signal(number)
        assert process.wait(timeout=20) == 130
        assert time.monotonic() - sent < 15  # under 2 s without load
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()


@pytest.mark.slow
def test_killed_it_goes_on_with_what_was_drawn(frames: Path) -> None:
    with open_port(LOOPBACK, None) as opened:
        port = opened.getsockname()[1]
    box = {"xyxy": [10, 20, 60, 80], "name": "bolt"}
    words = ("studio", frames, "--port", port, "--key", KEY)
    with started(*words) as (process, served):
        assert served.url == f"http://127.0.0.1:{port}/{KEY}/"
        served.api("PUT", "frames/1/boxes", {"boxes": [box]})
        process.kill()
        process.wait(timeout=20)
    with started(*words) as (_, served):
        assert served.api("GET", "frames/1/boxes")["boxes"][0]["xyxy"] == box["xyxy"]


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        pytest.param(["--host", "0.0.0.0"], 2, "state a --key", id="open without a key"),
        pytest.param(["--key", "short"], 2, "at least 16", id="short key"),
        pytest.param(["--key", "../../../../etc/passwd"], 2, "at least 16", id="key that is a path"),
        pytest.param(["--host", "no.such.host.invalid", "--key", KEY], 69, "cannot be listened", id="host"),
        pytest.param(["--port", "0"], 2, "--port", id="port"),
        pytest.param(["-e", "nothing.json"], 66, "nothing.json", id="no exemplars"),
    ],
)
def test_what_cannot_be_served_is_one_line(
    edgeloop: Callable[..., Outcome], frames: Path, arguments: list[str], code: int, reason: str
) -> None:
    outcome = edgeloop("studio", frames, *arguments)
    assert outcome.code == code
    assert reason in outcome.err


def test_a_taken_port_and_an_open_project_are_one_line(
    edgeloop: Callable[..., Outcome], frames: Path, tmp_path: Path
) -> None:
    with open_port(LOOPBACK, None) as taken:
        port = taken.getsockname()[1]
        outcome = edgeloop("studio", frames, "--port", port)
    assert (outcome.code, f"port {port}" in outcome.err) == (69, True)
    (tmp_path / "file").touch()
    outcome = edgeloop("studio", frames, "-o", tmp_path / "file" / "work")
    assert (outcome.code, "name another folder with -o" in outcome.err) == (69, True)
    outcome = edgeloop("studio", tmp_path / "none")
    assert outcome.code == 66


@pytest.mark.slow
def test_help_needs_neither_opencv_nor_the_server() -> None:
    code = (
        "import sys; from click.testing import CliRunner;"
        "from edgeloop.labeling.commands.studio import studio;"
        "assert CliRunner().invoke(studio, ['--help']).exit_code == 0;"
        "print([name for name in ('cv2', 'numpy', 'fastapi', 'uvicorn', 'torch') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
