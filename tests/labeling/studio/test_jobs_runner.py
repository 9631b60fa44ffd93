"""Jobs are child processes: paused, gone on with, failed, and gone when the studio is gone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from fastapi import APIRouter

from edgeloop.edge.web.page_events import Events
from edgeloop.edge.web.server import LOOPBACK, Server, open_port
from edgeloop.labeling.studio.jobs.runner import JobStatus, Runner
from edgeloop.labeling.studio.page_app import build_app
from edgeloop.models.errors import DataError
from tests.served import serve_app
from tests.waiting import until

PROGRAM = (sys.executable, str(Path(__file__).with_name("stand_in_verb.py")))
ENDLESS = "100000"


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    runner = Runner(tmp_path / "logs", Events(), program=PROGRAM)
    yield runner
    runner.close()


def ended(runner: Runner) -> JobStatus:
    until(lambda: runner.running() is None)
    return runner.status("label")


def steps(runner: Runner) -> int:
    phases = runner.status("label").phases
    return phases[-1].done if phases else 0


def test_a_job_runs_to_its_end(runner: Runner, tmp_path: Path) -> None:
    runner.start("label", [str(tmp_path / "count"), "5"])
    status = ended(runner)
    assert (status.status, status.exit_code) == ("done", 0)
    assert [(phase.description, phase.done, phase.total) for phase in status.phases] == [("Counting", 5, 5)]


def test_a_paused_job_goes_on_with_the_same_command(runner: Runner, tmp_path: Path) -> None:
    count = tmp_path / "count"
    runner.start("label", [str(count), ENDLESS])
    until(lambda: steps(runner) > 3)
    runner.pause("label")
    assert runner.status("label").status == "pausing"
    assert ended(runner).status == "paused"
    done = int(count.read_text())
    runner.start("label", [str(count), ENDLESS])
    until(lambda: steps(runner) > done)
    with pytest.raises(DataError, match="label: is still running"):
        runner.start("train", [])


def test_a_failed_job_says_why_in_one_line(runner: Runner, tmp_path: Path) -> None:
    runner.start("label", ["fail", "frames: no such folder", "66"])
    status = ended(runner)
    assert (status.status, status.exit_code) == ("failed", 66)
    assert status.message == "edgeloop: error: frames: no such folder"
    assert "no such folder" in (tmp_path / "logs" / "label.log").read_text()


def test_a_killed_job_is_told_from_a_paused_one(runner: Runner, tmp_path: Path) -> None:
    runner.start("label", [str(tmp_path / "count"), ENDLESS])
    until(lambda: steps(runner) > 0)
    os.kill(runner._jobs["label"]._child.pid, signal.SIGKILL)
    assert ended(runner).message == "ended by SIGKILL; what was done before is kept"


STUDIO = """
import sys, time
from pathlib import Path
from edgeloop.edge.web.page_events import Events
from edgeloop.labeling.studio.jobs.runner import Runner
folder, *program = sys.argv[1:]
runner = Runner(Path(folder) / "logs", Events(), program=program)
runner.start("label", [folder + "/count", "100000"])
print(runner._jobs["label"]._child.pid, flush=True)
time.sleep(60)
"""


def test_a_job_ends_with_a_killed_studio_and_keeps_what_is_done(tmp_path: Path) -> None:
    count = tmp_path / "count"
    studio = subprocess.Popen(
        [sys.executable, "-c", STUDIO, str(tmp_path), *PROGRAM], stdout=subprocess.PIPE, text=True
    )
    assert studio.stdout is not None
    child = int(studio.stdout.readline())
    until(lambda: count.exists() and count.read_text() > "3")
    studio.kill()
    studio.wait()
    studio.stdout.close()
    until(lambda: not is_running(child))
    assert int(count.read_text()) > 3


def is_running(pid: int) -> bool:
    """True if a process exists and is no zombie that nobody waited for."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def test_parts_of_the_api_end_with_the_server() -> None:
    said = []

    @asynccontextmanager
    async def lifespan(_: object) -> AsyncIterator[None]:
        said.append("begin")
        yield
        said.append("end")

    server, events = Server(open_port(LOOPBACK, None)), Events()
    app = build_app("edgeloop", server.access, events, [APIRouter(lifespan=lifespan)])
    with serve_app(server, app, events):
        until(lambda: said == ["begin"])
    assert said == ["begin", "end"]


def test_a_job_imports_nothing_from_the_folder_of_the_person(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit(99)")
    monkeypatch.chdir(tmp_path)
    runner = Runner(tmp_path / "logs", Events())
    runner.start("label", ["--help"])
    assert ended(runner).exit_code == 0
