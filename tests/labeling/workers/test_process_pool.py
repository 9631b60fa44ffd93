"""Workers in processes, for real, with a job without models."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import psutil
import pytest

from edgeloop.labeling.workers.open_pool import run_job
from edgeloop.labeling.workers.workers import Workers
from edgeloop.models.errors import DataError, UnavailableError
from tests.labeling.workers.stand_in_job import (
    MemoryStore,
    NamedItem,
    StandInJob,
    fail_to_unpickle,
    items_of,
    rows_of,
)
from tests.waiting import until

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
WITHIN_S = 60.0


def said_by(frames: dict[str, bytes], workers: int = 2) -> list[str]:
    store = MemoryStore(frames)
    return rows_of(StandInJob(store), items_of(store), workers)


def test_frames_that_end_their_process_are_set_aside_and_no_other() -> None:
    frames = {str(number): str(number).encode() for number in range(30)}
    rows = said_by({**frames, "5": b"exit", "6": b"kill", "7": b"bad", "8": b"refused"})
    assert rows[:5] + rows[9:] == [str(number) for number in (*range(5), *range(9, 30))]
    died = "2 workers died while they handled it"
    assert rows[5:9] == [
        f"failed: {died} (its process ended with exit code 3)",
        f"failed: {died} (its process was killed by SIGKILL; is the memory full?)",
        "failed: ValueError: a bad frame",
        "failed: a refused frame",
    ]


def test_a_frame_that_is_gone_has_the_reason_that_one_process_gives() -> None:
    store = MemoryStore({"here": b"here"})
    items = [*items_of(store), *items_of(MemoryStore({"gone": b""}))]
    rows = rows_of(StandInJob(store), items, 2)
    assert rows == rows_of(StandInJob(store), items, 1)
    assert rows == ["here", "failed: cannot be read (No such file or directory)"]


def test_each_worker_uses_its_share_of_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Onnxruntime, OpenCV, torch, and the linear algebra of numpy and scipy."""
    monkeypatch.setattr("edgeloop.labeling.workers.process_pool.usable_cores", lambda: 2)
    (told,) = said_by({"a": b"cores"})
    assert set(json.loads(told)) == {1}


def test_an_error_of_ours_keeps_its_type_and_its_exit_code() -> None:
    store = MemoryStore({"a": b"a", "b": b"b"})
    with pytest.raises(DataError, match=r"^graph\.onnx: damaged$") as refused:
        rows_of(StandInJob(store, refused=DataError("graph.onnx: damaged")), items_of(store), 2)
    assert refused.value.exit_code == 65


@pytest.mark.parametrize(
    ("refused", "told"),
    [
        (ValueError("two\nlines"), "no worker can be started: ValueError: two"),
        (UnavailableError("no such device"), "no such device"),
    ],
)
def test_workers_that_never_start_are_given_up(refused: Exception, told: str) -> None:
    store = MemoryStore({"a": b"a", "b": b"b"})
    with pytest.raises(UnavailableError) as given_up:
        rows_of(StandInJob(store, refused=refused), items_of(store), 2)
    assert str(given_up.value) == told


def test_a_machine_without_room_for_a_process_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr("edgeloop.labeling.workers.process_pool.subprocess.Popen", full)
    with pytest.raises(UnavailableError, match=r"cannot be started \(Resource temporarily unavailable\)"):
        said_by({"a": b"a", "b": b"b"})


@pytest.mark.parametrize(("cores", "told"), [(1, ["2 workers share 1 cores"]), (2, [])])
def test_more_workers_than_cores_are_told_of(
    cores: int, told: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("edgeloop.labeling.workers.open_pool.usable_cores", lambda: cores)
    assert said_by({"a": b"a", "b": b"b"}) == ["a", "b"]
    assert [message.split(":")[0] for message in caplog.messages] == told


def test_no_process_is_left() -> None:
    said_by({str(number): b"x" for number in range(4)})
    commands = [" ".join(child.cmdline()) for child in psutil.Process().children()]
    assert not any("process_worker" in command for command in commands)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_workers_end_with_the_process_that_started_them(sent: signal.Signals, tmp_path: Path) -> None:
    """In the middle of a frame that takes ten minutes."""
    code = (  # a suite in the background of a shell ignores SIGINT, and its processes would too
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from tests.labeling.workers.stand_in_job import hang, Path; import sys; hang(Path(sys.argv[1]))"
    )
    head = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, stderr=subprocess.DEVNULL, process_group=0
    )
    try:
        until(lambda: len(list(tmp_path.iterdir())) == 3, WITHIN_S)
        workers = [int(path.name) for path in tmp_path.iterdir()]
        os.killpg(head.pid, sent)
        assert head.wait(WITHIN_S) != 0
    finally:
        head.kill()
        head.wait()
    until(lambda: not any(map(alive, workers)), WITHIN_S)


def alive(number: int) -> bool:
    try:
        return bool(psutil.Process(number).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_a_frame_that_workers_cannot_unpickle_is_a_row(capfd: pytest.CaptureFixture[str]) -> None:
    """They end, and do not wait for it for ever."""
    job = StandInJob(MemoryStore({"a": b"a", "b": b"b"}))
    rows = dict(run_job(job, [Unpicklable("a"), Unpicklable("b")], Workers(2)))
    reason = "failed: 2 workers died while they handled it (its process ended with exit code 1)"
    assert rows == {0: ("a", reason), 1: ("b", reason)}
    assert "another machine's class" in capfd.readouterr().err


class Unpicklable(NamedItem):
    def __reduce__(self) -> tuple[Callable[[str], NoReturn], tuple[str]]:
        return fail_to_unpickle, (self.file,)
