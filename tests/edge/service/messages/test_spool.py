"""The spool keeps messages in order through crashes, a full disk and a destination that is away."""

from __future__ import annotations

import errno
import logging
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeloop.edge.host.disk_space import free_mb
from edgeloop.edge.service.messages.spool import Spool
from tests.waiting import until


def texts(first: int, end: int) -> list[bytes]:
    """Messages of some length, so that a few fill a file."""
    return [b"message %d %s" % (number, b"x" * 40) for number in range(first, end)]


def fill(spool: Spool, messages: list[bytes]) -> None:
    for message in messages:
        spool.append(message)
    spool.flush()


def drain(spool: Spool) -> list[bytes]:
    """Take and acknowledge everything."""
    taken = []
    while (record := spool.take()) is not None:
        taken.append(record[1])
        spool.acknowledge(record[0])
    spool.flush()
    return taken


@contextmanager
def opened(folder: Path, max_mb: float = 1.0) -> Iterator[Spool]:
    spool = Spool(folder, max_mb=max_mb)
    yield spool
    spool.close()


def test_messages_come_in_order_and_leave_nothing_behind(tmp_path: Path) -> None:
    with opened(tmp_path / "mqtt", max_mb=0.02) as spool:
        fill(spool, texts(0, 50))
        assert spool.waiting == 50
        for message in texts(50, 60):
            spool.append(message)
        assert drain(spool) == texts(0, 60)
        assert spool.waiting == spool.overflowed == 0
        assert not list((tmp_path / "mqtt").glob("*.spool"))


def test_what_is_acknowledged_at_once_never_reaches_the_disk(tmp_path: Path) -> None:
    with opened(tmp_path / "mqtt") as spool:
        spool.append(b"at once")
        assert drain(spool) == [b"at once"]
    assert not (tmp_path / "mqtt").exists()


def test_what_is_not_acknowledged_comes_again_in_order(tmp_path: Path) -> None:
    with opened(tmp_path / "mqtt", max_mb=0.005) as spool:
        fill(spool, texts(0, 20))
        taken = [spool.take() for _ in range(5)]
        numbers = [record[0] for record in taken if record]
        for number in (numbers[0], numbers[1], numbers[3]):  # the third is late
            spool.acknowledge(number)
        spool.rewind()
        assert drain(spool) == texts(2, 20)


def test_a_second_run_goes_on_where_the_first_was_acknowledged(tmp_path: Path) -> None:
    with opened(tmp_path / "mqtt", max_mb=0.02) as spool:
        fill(spool, texts(0, 40))
        for _ in range(25):
            record = spool.take()
            assert record is not None
            spool.acknowledge(record[0])
        spool.append(texts(40, 41)[0])
    with opened(tmp_path / "mqtt", max_mb=0.02) as spool:
        assert spool.waiting == 16
        spool.append(texts(41, 42)[0])
        assert drain(spool) == texts(25, 42)
    with opened(tmp_path / "mqtt") as spool:
        assert drain(spool) == []


def test_the_oldest_go_when_it_is_full_and_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(tmp_path / "mqtt", max_mb=0.008) as spool:
        fill(spool, texts(0, 500))
        size = sum(path.stat().st_size for path in (tmp_path / "mqtt").iterdir())
        assert size <= 8000
        lost = spool.overflowed
        assert 0 < lost < 500
        assert drain(spool) == texts(lost, 500)
    assert [record.message for record in caplog.records] == [
        "spool mqtt: full; the oldest messages are lost",
        f"spool mqtt: empty again; {lost} messages were lost so far",
    ]


def test_a_full_disk_is_left_alone_and_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(tmp_path / "mqtt", max_mb=1, keep_free_mb=free_mb(tmp_path) + 1e6, memory=30)
    for first in range(0, 40, 20):
        fill(spool, texts(first, first + 20))
    assert not (tmp_path / "mqtt").exists()
    assert spool.overflowed == 10
    monkeypatch.setattr(spool, "_keep_free_mb", 0.0)
    spool.flush()
    spool.flush()
    assert list((tmp_path / "mqtt").glob("*.spool"))
    assert drain(spool) == texts(10, 40)
    told = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert [line.partition(": ")[2][:22] for line in told] == [
        "the disk has less than",
        "full; the oldest messa",
        "messages are written t",
        "empty again; 10 messag",
    ]


def test_a_write_that_fails_half_way_leaves_no_half_of_it(tmp_path: Path) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with opened(tmp_path / "mqtt") as spool:
        fill(spool, texts(0, 5))
        resource.setrlimit(resource.RLIMIT_FSIZE, (500, hard))
        try:
            fill(spool, texts(5, 10))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, hard))
        assert [path.read_bytes().count(b"\n") for path in (tmp_path / "mqtt").glob("*.spool")] == [5]
        fill(spool, texts(10, 12))
    with opened(tmp_path / "mqtt") as spool:
        assert drain(spool) == texts(0, 12)


def test_the_return_of_the_disk_is_said_also_if_nothing_waits_for_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(tmp_path / "mqtt", max_mb=1, keep_free_mb=free_mb(tmp_path) + 1e6)
    fill(spool, texts(0, 3))
    assert drain(spool) == texts(0, 3)
    spool.flush()
    monkeypatch.setattr(spool, "_keep_free_mb", 0.0)
    spool.flush()
    told = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert told[1:] == ["spool mqtt: messages are written to disk again"]


def test_a_folder_that_cannot_be_written_costs_nothing_but_safety(tmp_path: Path) -> None:
    (tmp_path / "mqtt").write_text("in the way")
    with opened(tmp_path / "mqtt") as spool:
        fill(spool, texts(0, 3))
        (tmp_path / "mqtt").unlink()
        fill(spool, texts(3, 5))
    with opened(tmp_path / "mqtt") as spool:
        assert drain(spool) == texts(0, 5)


def test_files_that_vanish_are_counted(tmp_path: Path) -> None:
    with opened(tmp_path / "mqtt", max_mb=0.02) as spool:
        fill(spool, texts(0, 40))
        shutil.rmtree(tmp_path / "mqtt")
        fill(spool, texts(40, 41))
        left = drain(spool)
        assert left[-1:] == texts(40, 41)
        assert spool.overflowed + len(left) == 41


def test_the_newest_file_may_vanish_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with opened(tmp_path / "mqtt") as spool:
        fill(spool, texts(0, 3))
        (tmp_path / "mqtt" / f"{1:016d}.spool").unlink()
        assert spool.take() is None
        fill(spool, texts(3, 5))
        assert drain(spool) == texts(3, 5)
        assert spool.overflowed == 3
    assert [record.message for record in caplog.records] == [
        f"spool mqtt: {1:016d}.spool is lost (No such file or directory)"
    ]


def test_a_file_that_cannot_be_read_is_not_in_the_way_of_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path / "mqtt") as spool:
        fill(spool, texts(0, 3))
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", _fail)
        spool = Spool(tmp_path / "mqtt", max_mb=1)
    fill(spool, texts(3, 5))
    spool.close()
    with opened(tmp_path / "mqtt") as spool:
        assert drain(spool) == texts(3, 5)


def _fail(path: Path) -> bytes:
    raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))


def test_a_message_is_one_line(tmp_path: Path) -> None:
    with opened(tmp_path / "mqtt") as spool, pytest.raises(ValueError, match="one line"):
        spool.append(b"two\nlines")


def test_a_message_larger_than_the_spool_is_lost_alone(tmp_path: Path) -> None:
    with opened(tmp_path / "mqtt", max_mb=0.001) as spool:
        fill(spool, [b"a", b"x" * 2000, b"b"])
        assert drain(spool) == [b"a", b"b"]
        assert spool.overflowed == 1


WRITER = """
import sys
from pathlib import Path
from edgeloop.edge.service.messages.spool import Spool
spool = Spool(Path(sys.argv[1]), max_mb=0.2)
spool.start()
number = 0
while True:
    for _ in range(50):
        spool.append(b"message %d" % number)
        number += 1
    spool.flush()
    print(number, flush=True)
    record = spool.take()
    spool.acknowledge(record[0])
"""


def test_kill_9_loses_nothing_that_was_written(tmp_path: Path) -> None:
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path / "mqtt")], stdout=subprocess.PIPE)
    assert writer.stdout is not None
    for _ in range(8):
        written = int(writer.stdout.readline())
    os.kill(writer.pid, signal.SIGKILL)
    written = max([written, *map(int, writer.stdout.read().split())])
    writer.wait()
    writer.stdout.close()
    with opened(tmp_path / "mqtt") as spool:
        taken = [int(message.split()[1]) for message in drain(spool)]
    assert taken == list(range(taken[0], taken[-1] + 1))
    assert taken[0] <= written // 50
    assert taken[-1] >= written - 1


def test_its_thread_writes_within_a_moment(tmp_path: Path) -> None:
    with opened(tmp_path / "mqtt") as spool:
        spool.start()
        spool.append(b"soon")
        until(lambda: list((tmp_path / "mqtt").glob("*.spool")))
        record = spool.take()
        assert record is not None
        spool.acknowledge(record[0])
        until(lambda: not list((tmp_path / "mqtt").glob("*.spool")))
        began = time.monotonic()
    assert time.monotonic() - began < 1.0


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(st.sampled_from(["append", "append", "take", "ack", "flush", "rewind"]), max_size=60),
    file=st.integers(0, 20),
    share=st.floats(0, 1),
)
def test_a_crash_at_any_byte_leaves_the_order_and_what_was_whole(
    steps: list[str], file: int, share: float
) -> None:
    with TemporaryDirectory() as place:
        folder = Path(place) / "mqtt"
        spool = Spool(folder, max_mb=0.006)
        appended, out = 0, list[int]()
        for step in steps:
            if step == "append":
                spool.append(texts(appended, appended + 1)[0])
                appended += 1
            elif step == "take" and (record := spool.take()) is not None:
                out.append(record[0])
            elif step == "ack" and out:
                spool.acknowledge(out.pop(0))
            elif step == "flush":
                spool.flush()
            elif step == "rewind":
                spool.rewind()
                out = []
        noted = int((folder / "done").read_bytes()) if (folder / "done").exists() else 0
        paths = sorted(folder.glob("*.spool"))
        if paths:
            cut = paths[file % len(paths)]
            os.truncate(cut, int(share * cut.stat().st_size))
        lines = [line.split() for path in paths for line in path.read_bytes().split(b"\n")[:-1]]
        whole = [int(words[3]) for words in lines if int(words[0]) > noted]
        after = Spool(folder, max_mb=0.006)
        assert [int(message.split()[1]) for message in drain(after)] == whole
        assert whole == sorted(set(whole))
        spool.close()
