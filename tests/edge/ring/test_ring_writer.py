"""A ring is written beside the loop, which never waits, whatever happens to the disk and the process."""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from edgeloop.edge.frame import Frame
from edgeloop.edge.result import Result, Timings
from edgeloop.edge.ring.ring_budget import RingBudget
from edgeloop.edge.ring.ring_database import RING_FILE, read_ring
from edgeloop.edge.ring.ring_entry import RingModel
from edgeloop.edge.ring.ring_sink import RingSink
from edgeloop.edge.ring.ring_writer import QUEUE, RingWriter
from edgeloop.edge.sources import LivePolicy, open_source
from edgeloop.models.detections import Detections
from edgeloop.models.errors import DataError, NoInputError
from tests.blocks import draw_block
from tests.calls import edgeloop
from tests.edge.ring.ring_frames import MODEL, entry_of, feed, judged, noise
from tests.small_disk import small_disk
from tests.waiting import until

BUDGET = RingBudget(20, 30, 0.5)


def writer(folder: Path, budget: RingBudget = BUDGET, keep_free_mb: float = 0.0) -> RingWriter:
    return RingWriter(folder, budget, keep_free_mb=keep_free_mb, seed=3)


def test_frames_come_back_as_they_were(tmp_path: Path) -> None:
    with closing(writer(tmp_path)) as ring:
        for index in range(40):
            feed(ring, judged(index, doubt=0.6 if index == 17 else 0.1, time_s=index / 2))
    found = ring.figures
    assert (found.random_saved, found.ranked_saved, found.dropped, found.queue) == (20, 2, 0, 0)
    kept = read_ring(tmp_path)
    assert kept.models == {MODEL.digest: MODEL}
    assert found.entries == len(kept.entries)
    entry = next(entry for entry in kept.entries if entry.frame.index == 17)
    assert entry.doubt == 0.6
    assert entry.detections.xyxy.tolist() == [[8, 8, 24, 24]]
    assert entry.detections.class_id.tolist() == [1]
    assert (entry.size, entry.frame.time_s, entry.model) == ((64, 64), 8.5, MODEL.digest)
    assert kept.path(entry).stat().st_size == entry.bytes


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    with closing(writer(tmp_path)), pytest.raises(DataError, match="another process writes to it"):
        writer(tmp_path)
    writer(tmp_path).close()


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / RING_FILE).write_text("no database at all, but some text that goes on for a while" * 20)
    with pytest.raises(DataError, match="cannot be used as a ring"):
        writer(tmp_path)


def test_a_folder_of_frames_gets_no_ring(tmp_path: Path) -> None:
    (tmp_path / "frames.jsonl").write_text("")
    with pytest.raises(DataError, match=r"expected a ring or a new folder, got one with frames\.jsonl in it"):
        writer(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["frames.jsonl"]


def test_a_folder_that_is_no_ring_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(NoInputError, match="no ring of frames"):
        read_ring(tmp_path)


def test_a_ring_of_an_older_version_is_continued(tmp_path: Path) -> None:
    (tmp_path / "weights.json").write_text('{"version": 1, "weights": {"silence": 0.9}}')
    with closing(writer(tmp_path)) as ring:
        feed(ring, judged(0, doubt=0.4), slot_frames=1)
    with closing(sqlite3.connect(tmp_path / RING_FILE, isolation_level=None)) as database:
        database.execute("UPDATE frame SET signs = ?", ('{"threshold": 0.4, "silence": 0.2}',))
    with closing(writer(tmp_path)) as ring:
        feed(ring, judged(1, doubt=0.6), slot_frames=1)
    assert [entry.doubt for entry in read_ring(tmp_path).entries] == [0.4, 0.6]


def test_a_row_that_names_a_file_elsewhere_is_damage(tmp_path: Path) -> None:
    with closing(writer(tmp_path)) as ring:
        for index in range(3):
            feed(ring, judged(index), slot_frames=1)
    with closing(sqlite3.connect(tmp_path / RING_FILE)) as other, other:
        other.execute("UPDATE frame SET file = '../../' || file WHERE position = 1")
    with pytest.raises(DataError, match="file must be a name in images"):
        read_ring(tmp_path)


def test_a_ring_in_a_folder_that_cannot_be_written_is_read(tmp_path: Path) -> None:
    with closing(writer(tmp_path / "ring")) as ring:
        feed(ring, judged(0), slot_frames=1)
    (tmp_path / "ring").chmod(0o555)
    if os.access(tmp_path / "ring", os.W_OK):
        pytest.skip("this user may write everywhere")
    assert len(read_ring(tmp_path / "ring").entries) == 1


def test_the_loop_never_waits_for_a_disk_that_hangs(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "edgeloop.edge.ring")
    picture = noise(1)
    with closing(writer(tmp_path)) as ring, closing(sqlite3.connect(tmp_path / RING_FILE)) as other:
        other.execute("BEGIN IMMEDIATE")  # the ring's own changes wait for it
        began_at = time.monotonic()
        for index in range(60):
            frame = judged(index, image=picture)
            ring.add(frame, entry_of(frame), MODEL, slot_frames=1)
        assert time.monotonic() - began_at < 4  # SQLite waits for 5 s
        other.execute("ROLLBACK")
    found = ring.figures
    assert found.dropped > 0
    assert found.random_saved >= QUEUE
    assert found.random_saved + found.dropped == 60
    events = [record.__dict__["event"] for record in caplog.records]
    assert events == ["ring-lost", "ring-back"]
    assert "the disk does not keep up" in caplog.records[0].getMessage()


@pytest.mark.slow
def test_a_full_disk_is_said_once_and_is_over_by_itself(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "edgeloop.edge.ring")
    with small_disk(tmp_path / "disk") as disk, closing(writer(disk / "ring", keep_free_mb=1.0)) as ring:
        (disk / "ballast").write_bytes(bytes(3_100_000))
        for index in range(5):
            feed(ring, judged(index, doubt=0.9), slot_frames=1)
        until(lambda: ring.figures.dropped >= 8)
        assert ring.figures.entries == 0
        (disk / "ballast").unlink()
        for index in range(5, 8):
            feed(ring, judged(index, doubt=0.9), slot_frames=1)
        until(lambda: ring.figures.ranked_saved >= 2)
        assert ring.figures.dropped == 8
    assert [record.__dict__["event"] for record in caplog.records] == ["ring-lost", "ring-back"]
    assert "no room in" in caplog.records[0].getMessage()


@pytest.mark.slow
def test_a_disk_that_is_taken_out_is_used_again_when_it_is_back(tmp_path: Path) -> None:
    with closing(RingWriter(tmp_path / "ring", BUDGET, keep_free_mb=0, patient=True)) as ring:
        feed(ring, judged(0), slot_frames=1)
        feed(ring, judged(1), slot_frames=1)
        until(lambda: ring.figures.random_saved == 1)
        shutil.rmtree(tmp_path / "ring")
        for index in range(2, 5):
            feed(ring, judged(index), slot_frames=1)
        until(lambda: ring.figures.dropped > 0)
        lost = ring.figures.dropped
        until(lambda: (tmp_path / "ring" / RING_FILE).exists())
        for index in range(5, 8):
            feed(ring, judged(index), slot_frames=1)
        until(lambda: ring.figures.random_saved >= 3)
    assert ring.figures.dropped == lost
    assert len(read_ring(tmp_path / "ring").entries) == ring.figures.entries


@pytest.mark.slow
def test_a_process_that_is_killed_leaves_a_whole_ring(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.edge.ring.ring_crashes", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=Path(__file__).parents[3])
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 20


def test_a_model_with_another_order_of_names_is_stored_under_the_first(tmp_path: Path) -> None:
    swapped = RingModel(MODEL.digest, ("nut", "bolt", "gear"), 0.25)
    with closing(writer(tmp_path)) as ring:
        for index, model in enumerate((MODEL, swapped)):
            frame = judged(index)
            ring.add(frame, entry_of(frame), model, slot_frames=1)
    kept = read_ring(tmp_path)
    assert kept.models[MODEL.digest].names == ("bolt", "nut", "gear")
    assert [entry.detections.class_id.tolist() for entry in kept.entries] == [[1], [0]]


def test_a_sink_hands_each_frame_over_with_the_model_that_answered(tmp_path: Path) -> None:
    models = [RingModel(letter * 64, ("block",), 0.25) for letter in "ab"]
    now = [models[0]]
    source = open_source("synth:conveyor", LivePolicy())
    with source, closing(writer(tmp_path)) as ring:
        sink = RingSink(ring, source, lambda: 0.25, lambda: now[-1])
        for index in range(90):
            if index == 60:
                now.append(models[1])
            image = draw_block(index % 40)
            frame = Frame(image, index, 0.0, 0.0, source.name, index / 30)
            sink.write(Result(frame, Detections.empty(), Timings(0.0, {})))
        sink.close()
    kept = read_ring(tmp_path)
    drawn = [entry for entry in kept.entries if entry.share == "random"]
    assert [entry.model[0] for entry in drawn] == ["a", "a", "b"]
    assert {entry.frame.source for entry in drawn} == {source.name}
    assert set(kept.models) == {model.digest for model in models}


@pytest.mark.slow
def test_a_run_keeps_a_ring_of_several_sources(block_model: Path, tmp_path: Path) -> None:
    sources = ("synth:conveyor?size=320x240", "synth:conveyor?size=320x240&seed=2")
    ring = tmp_path / "ring"
    for _ in range(2):
        done = edgeloop("run", block_model, *sources, "--max-frames", 61, "--ring", ring, "--ring-mb", 20)
        assert done.returncode == 0, done.stderr
        assert f"{ring}: kept 6 frames at random and" in done.stderr
        assert " 0 dropped; it holds" in done.stderr
    kept = read_ring(ring)
    drawn = [entry for entry in kept.entries if entry.share == "random"]
    assert sorted({entry.frame.source for entry in drawn}) == sorted(sources)
    assert len(drawn) == 12
    assert {model.names for model in kept.models.values()} == {("block",)}
    assert all(kept.path(entry).is_file() for entry in kept.entries)


def test_a_ring_that_another_run_writes_is_refused_at_the_start(block_model: Path, tmp_path: Path) -> None:
    with closing(writer(tmp_path)):
        done = edgeloop("run", block_model, "synth:conveyor", "--max-frames", 1, "--ring", tmp_path)
    assert done.returncode == 65
    assert "another process writes to it" in done.stderr
