"""Programs read the progress of a verb as JSON lines."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

COUNT = """
import time
from edgeloop.edge.cli.progress import progress
from edgeloop.edge.cli.progress_events import open_progress_events
open_progress_events()
for _ in progress(range(30), "Labeling"):
    time.sleep(0.02)
"""


def test_lines_tell_the_first_and_the_last_step_and_few_between() -> None:
    reader, writer = os.pipe()
    subprocess.run(
        [sys.executable, "-c", COUNT],
        env={**os.environ, "EDGELOOP_PROGRESS_FD": str(writer)},
        pass_fds=(writer,),
        check=True,
    )
    os.close(writer)
    with os.fdopen(reader) as lines:
        said = [json.loads(line) for line in lines]
    assert said[0] == {"description": "Labeling", "done": 0, "total": 30, "rate": None}
    assert said[-1]["done"] == 30
    assert 10 < said[-1]["rate"] < 50
    assert 3 <= len(said) <= 8


def test_a_verb_ends_as_by_ctrl_c_when_its_reader_is_gone(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    child = subprocess.Popen(
        [sys.executable, "-m", "edgeloop", "collect", "synth:conveyor?fps=5", "-o", str(tmp_path / "frames")],
        env={**os.environ, "EDGELOOP_PROGRESS_FD": str(writer)},
        pass_fds=(writer,),
        stderr=subprocess.DEVNULL,
        process_group=0,
    )
    os.close(writer)
    os.close(reader)
    assert child.wait(30) == 130


def test_a_descriptor_that_is_not_open_is_refused_in_one_line() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "edgeloop", "doctor"],
        env={**os.environ, "EDGELOOP_PROGRESS_FD": "pipe"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "EDGELOOP_PROGRESS_FD=pipe: expected the number of an open file descriptor" in done.stderr
