"""benchmarks/scaleout.py: what is counted, and what its tables call met or missed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import scaleout

from edgeloop.labeling.frames.frame_store import FolderStore
from edgeloop.labeling.workers.frame_job import FrameFile
from edgeloop.labeling.workers.open_pool import run_job
from edgeloop.labeling.workers.workers import Workers
from edgeloop.models.errors import DataError
from scaleout_jobs import SleepJob, WatchedJob, began, handled
from scaleout_plan import fill_ledger, measure_plan, write_frames


@pytest.mark.parametrize("count", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_workers_begin_together_and_note_every_frame(tmp_path: Path, count: int) -> None:
    log = tmp_path / "log"
    log.mkdir()
    names = [f"{number}.jpg" for number in range(12)]
    for name in names:
        (tmp_path / name).write_bytes(b"image")
    job = WatchedJob(SleepJob(FolderStore(tmp_path), 0.0), log, count)
    items = [FrameFile(name) for name in [*names, names[5]]]
    assert sorted(run_job(job, items, Workers(count))) == [(place, 5) for place in range(13)]
    assert handled(log) == dict.fromkeys(names, 1) | {names[5]: 2}
    assert len(list(log.glob("ready-*"))) == count
    assert began(log, count) == max(float(path.read_text()) for path in log.glob("ready-*"))


def test_no_frame_of_a_rate_may_fail(tmp_path: Path) -> None:
    job = WatchedJob(SleepJob(FolderStore(tmp_path), 0.0), tmp_path, 1)
    with pytest.raises(DataError, match=r"gone\.jpg: cannot be read"):
        list(run_job(job, [FrameFile("gone.jpg")], Workers()))


def test_planning_finds_the_half_that_is_left(tmp_path: Path) -> None:
    write_frames(tmp_path, 400)
    commits_per_s = fill_ledger(tmp_path)
    found = measure_plan(tmp_path, commits_per_s)
    assert (found.frames, found.commits_per_s) == (400, commits_per_s)
    assert found.seconds == found.list_s + found.ledger_s + found.shards_s


def kill_row(**changed: Any) -> dict[str, Any]:
    return {"nodes": 2, "killed_at": 120, "labeled": 240, "twice": 7, "same": True} | changed


@pytest.mark.parametrize(
    ("changed", "cells"),
    [
        pytest.param({}, ("120 of 240", "0", "7 (at most 16: met)", "met"), id="as promised"),
        pytest.param({"same": False}, ("120 of 240", "0", "7 (at most 16: met)", "MISSED"), id="other bytes"),
        pytest.param(
            {"twice": 17}, ("120 of 240", "0", "17 (at most 16: MISSED)", "met"), id="more than was in work"
        ),
        pytest.param({"labeled": 239}, ("120 of 240", "1", "7 (at most 16: met)", "met"), id="a frame lost"),
    ],
)
def test_a_killed_node(changed: dict[str, Any], cells: tuple[str, ...]) -> None:
    table = scaleout.kill_table({"frames": 240, "rows": [kill_row(**changed)]})
    assert tuple(table.groups[0][0][1:]) == cells


def test_rates_are_compared_with_twice_one_core_and_with_one_worker() -> None:
    rates = {"one": [2.0, 1.0, 3.0], "alone": [3.0], "--workers 2": [3.6]}
    same = {"one": True, "alone": True, "--workers 2": False}
    table = scaleout.speed_table({"cores": 2, "rates": rates, "same": same})
    assert [tuple(row[1:4]) for row in table.groups[0]] == [
        ("2.00", "50%", "67%"),
        ("3.00", "75%", "100%"),
        ("3.60", "90%", "120%"),
    ]
    assert [row[5] for row in table.groups[0]] == ["met", "met", "MISSED"]


def test_a_day_follows_from_the_figures() -> None:
    speed = {"rates": {"one": [4.0, 5.0, 6.0]}, "image_kb": 100.0, "row_kb": 2.0}
    plan = {"commits_per_s": 10_000.0, "look_kb": 1.28}
    table = scaleout.day_table(speed, plan, {"written_per_s": 500.0})
    assert [tuple(row[1:]) for row in table.groups[0]] == [
        ("259.20 M", "14,400 h", "600.0", "7.20 h", "518.4 GB", "331.8 GB", "144.00 h", "2,400.0 Mbit/s"),
        ("0.86 M", "48 h", "2.0", "0.02 h", "1.7 GB", "1.1 GB", "0.48 h", "8.0 Mbit/s"),
        ("0.10 M", "6 h", "0.2", "0.00 h", "0.2 GB", "0.1 GB", "0.06 h", "0.9 Mbit/s"),
    ]
