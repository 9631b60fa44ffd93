"""Distribution of frames to workers that a test plays: their order, their deaths, and what is set aside."""

from __future__ import annotations

import signal
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeloop.labeling.workers.dispatch import Died, Event, Finished, Ready, map_frames
from edgeloop.labeling.workers.frame_job import Outcome, Shard
from edgeloop.labeling.workers.inline_pool import InlinePool
from edgeloop.labeling.workers.open_pool import run_job
from edgeloop.labeling.workers.thread_pool import ThreadPool
from edgeloop.labeling.workers.workers import Workers
from edgeloop.models.errors import DataError, UnavailableError
from tests.labeling.workers.stand_in_job import (
    MEETING,
    MemoryStore,
    NamedItem,
    StandInJob,
    items_of,
    rows_of,
)
from tests.waiting import until

Row = tuple[str, str]
Choose = Callable[[int], int]


class PlayedPool:
    """Pool whose workers do what the test says.

    Attributes:
        shards: Places of all shards, in the order in which they were submitted.
        held: Shards of each worker that lives, the one in work first.
        started: Number of workers that were started.
        most_sent: Most bytes that were with the workers at a time.
        closed: True once the workers are ended.
    """

    def __init__(
        self,
        *,
        shard_frames: int = 4,
        shards_ahead: int = 2,
        reads_store: bool = True,
        choose: Choose = lambda _: 0,
        fate: Callable[[Shard[NamedItem]], Died | None] = lambda _: None,
        start: Callable[[int], Died | None] = lambda _: None,
        fault: Callable[[str], str | None] = lambda _: None,
    ) -> None:
        """Prepare the play.

        Args:
            shard_frames: See `WorkerPool.shard_frames`.
            shards_ahead: See `WorkerPool.shards_ahead`.
            reads_store: See `Ready.reads_store`.
            choose: Chooses which of N workers is the next of whom there is news, 0 to N - 1.
            fate: Death of the worker that handles this shard; its number does not count.
            start: Death of the n-th worker as it starts.
            fault: Reason why this frame fails.
        """
        self.shard_frames, self.shards_ahead = shard_frames, shards_ahead
        self._reads_store = reads_store
        self._choose, self._fate, self._start, self._fault = choose, fate, start, fault
        self.started = 0
        self._starting: list[int] = []
        self.held: dict[int, deque[Shard[NamedItem]]] = {}
        self.shards: list[list[int]] = []
        self.most_sent = 0
        self.closed = False

    def start_worker(self) -> None:
        self._starting.append(self.started)
        self.started += 1

    def submit(self, worker: int, shard: Shard[NamedItem]) -> None:
        assert (shard.data is None) == self._reads_store
        self.held[worker].append(shard)
        assert len(self.held[worker]) <= self.shards_ahead
        self.shards.append(list(shard.places))
        held = (data for own in self.held.values() for one in own for data in one.data or ())
        sent = sum(len(data) for data in held if isinstance(data, bytes))
        self.most_sent = max(self.most_sent, sent)

    def wait(self) -> Sequence[Event[Row]]:
        waited_for = [*self._starting, *(number for number, own in self.held.items() if own)]
        assert waited_for, "nobody works, and yet the caller waits"
        return [self._news_of(waited_for[self._choose(len(waited_for))])]

    def _news_of(self, number: int) -> Event[Row]:
        if number in self._starting:
            self._starting.remove(number)
            if (died := self._start(number)) is not None:
                return died
            self.held[number] = deque()
            return Ready(number, self._reads_store)
        shard = self.held[number][0]
        if (dead := self._fate(shard)) is not None:
            del self.held[number]
            return replace(dead, worker=number)
        self.held[number].popleft()
        return Finished(number, [self._outcome(item.file) for item in shard.items])

    def _outcome(self, file: str) -> Outcome[Row]:
        fault = self._fault(file)
        return Outcome((file, "done"), None) if fault is None else Outcome(None, fault)

    def close(self) -> None:
        self.closed = True


def frames_of(count: int, size: int = 1) -> StandInJob:
    return StandInJob(MemoryStore({str(number): b"x" * size for number in range(count)}))


def map_all(job: StandInJob, pool: PlayedPool, workers: int) -> list[str]:
    """Fate of each frame; each has exactly one row, and the workers are ended."""
    items = items_of(job.store)
    rows: dict[int, Row] = {}
    try:
        for place, row in map_frames(job, items, pool, workers):
            assert place not in rows
            rows[place] = row
    finally:
        assert pool.closed
    assert [rows[place][0] for place in sorted(rows)] == [item.file for item in items]
    return [rows[place][1] for place in sorted(rows)]


def dies_on(*files: str, with_machine: bool = False) -> Callable[[Shard[NamedItem]], Died | None]:
    dead = Died(0, "it fell over", with_machine)
    return lambda shard: dead if {item.file for item in shard.items} & {*files} else None


def test_shards_are_in_order_and_shrink_towards_the_end() -> None:
    pool = PlayedPool(shard_frames=8, shards_ahead=1)
    assert map_all(frames_of(60), pool, 2) == ["done"] * 60
    assert [place for shard in pool.shards for place in shard] == list(range(60))
    sizes = [len(shard) for shard in pool.shards]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == 8
    assert sizes[-4:] == [1, 1, 1, 1]


def test_shards_are_no_smaller_than_a_batch() -> None:
    store = frames_of(20).store
    pool = PlayedPool(shard_frames=1)
    map_all(StandInJob(store, batch=6), pool, 2)
    assert [len(shard) for shard in pool.shards] == [6, 6, 6, 2]


def test_no_more_workers_than_frames_are_started() -> None:
    pool = PlayedPool()
    assert map_all(frames_of(2), pool, 16) == ["done", "done"]
    assert sorted(pool.held) == [0, 1]


def test_no_worker_is_started_for_no_frame() -> None:
    pool = PlayedPool()
    assert map_all(frames_of(0), pool, 4) == []
    assert pool.held == {}


def test_idle_workers_are_supplied_before_others_get_more() -> None:
    pool = PlayedPool(shard_frames=1, shards_ahead=3)
    rows = map_frames(frames_of(12), items_of(frames_of(12).store), pool, 2)
    next(rows)
    assert [len(own) for own in pool.held.values()] == [2, 3]  # the first has just finished one
    rows.close()
    assert pool.closed


def test_a_frame_that_kills_two_workers_is_set_aside_and_only_it() -> None:
    pool = PlayedPool(fate=dies_on("5"))
    rows = map_all(frames_of(40), pool, 2)
    assert rows.pop(5) == "failed: 2 workers died while they handled it (it fell over)"
    assert rows == ["done"] * 39
    again = [shard for shard in pool.shards if shard[0] in range(4, 8)][1:]
    assert sorted(again) == [[4], [5], [6], [7]]


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_only_the_deadly_frame_is_set_aside_if_last_answers_are_lost(workers: int) -> None:
    """Each worker dies before the answer to the shard before arrives: three deaths in all."""
    deaths: list[Shard[NamedItem]] = []

    def fate(shard: Shard[NamedItem]) -> Died | None:
        own = next(own for own in pool.held.values() if shard in own)
        if all(item.file != "6" for one in own for item in one.items):
            return None
        deaths.append(shard)
        return Died(0, "it fell over")

    pool = PlayedPool(fate=fate)
    rows = map_all(frames_of(40), pool, workers)
    assert rows.pop(6) == "failed: 2 workers died while they handled it (it fell over)"
    assert rows == ["done"] * 39
    assert len(deaths) <= 3


def test_frames_that_waited_behind_the_deadly_one_are_not_suspected() -> None:
    """They keep their shard."""
    pool = PlayedPool(shard_frames=4, shards_ahead=2, fate=dies_on("0"))
    map_all(frames_of(100), pool, 1)
    assert pool.shards[:2] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert [4, 5, 6, 7] in pool.shards[2:]


def test_nobody_is_blamed_when_a_machine_goes() -> None:
    left = [3]

    def fate(shard: Shard[NamedItem]) -> Died | None:
        if "5" not in {item.file for item in shard.items} or not left[0]:
            return None
        left[0] -= 1
        return Died(0, "its machine is gone", with_machine=True)

    pool = PlayedPool(fate=fate)
    assert map_all(frames_of(40), pool, 2) == ["done"] * 40
    assert [shard for shard in pool.shards if 5 in shard] == [[4, 5, 6, 7], [5], [5], [5]]


def test_a_frame_that_takes_five_machines_with_it_is_set_aside_and_only_it() -> None:
    pool = PlayedPool(fate=dies_on("5", with_machine=True))
    rows = map_all(frames_of(40), pool, 2)
    assert rows.pop(5) == "failed: 5 machines died while they handled it (it fell over)"
    assert rows == ["done"] * 39


def test_where_the_memory_is_full_fewer_workers_go_on() -> None:
    """With three of them each dies, with two none."""

    def fate(_: Shard[NamedItem]) -> Died | None:
        full = len(pool.held) > 2
        return Died(-1, "was killed", by_memory=True) if full else None

    pool = PlayedPool(fate=fate)
    assert map_all(frames_of(40), pool, 3) == ["done"] * 40
    assert pool.started == 3


def test_the_last_worker_is_replaced_even_if_the_memory_is_full() -> None:
    killed = iter([True])

    def fate(_: Shard[NamedItem]) -> Died | None:
        return Died(-1, "was killed", by_memory=True) if next(killed, False) else None

    pool = PlayedPool(fate=fate)
    assert map_all(frames_of(4), pool, 1) == ["done"] * 4
    assert pool.started == 2


def test_a_failing_frame_is_a_row() -> None:
    pool = PlayedPool(fault=lambda file: "no picture" if file == "3" else None)
    rows = map_all(frames_of(10), pool, 2)
    assert rows.pop(3) == "failed: no picture"
    assert rows == ["done"] * 9


def test_a_job_whose_first_frames_all_fail_is_given_up() -> None:
    pool = PlayedPool(fault=lambda _: "the model is wrong")
    with pytest.raises(DataError, match="frames in memory: the first 50 frames all failed: the model is wr"):
        map_all(frames_of(300), pool, 3)


def test_a_job_on_whose_first_frames_all_workers_die_is_given_up() -> None:
    pool = PlayedPool(fate=lambda _: Died(0, "it fell over"))
    with pytest.raises(DataError, match="the first 50 frames all failed: 2 workers died"):
        map_all(frames_of(300), pool, 3)


def test_images_that_cannot_be_read_do_not_end_a_job() -> None:
    """They may be the last ones of a resumed job, and would be set aside without the interruption."""
    job = frames_of(0)
    rows = map_frames(job, [NamedItem(str(number)) for number in range(60)], InlinePool(job), 1)
    assert {told for _, (_, told) in rows} == {"failed: cannot be read (No such file or directory)"}


def test_many_frames_may_fail_once_one_succeeded() -> None:
    pool = PlayedPool(fault=lambda file: None if file == "7" else "no picture")
    assert map_all(frames_of(200), pool, 2).count("done") == 1


def test_a_short_job_may_fail_as_a_whole() -> None:
    assert set(map_all(frames_of(49), PlayedPool(fault=lambda _: "bad"), 2)) == {"failed: bad"}


def test_what_all_workers_would_refuse_ends_the_job_at_once() -> None:
    pool = PlayedPool(start=lambda number: Died(number, "damaged", error=DataError("graph.onnx: damaged")))
    with pytest.raises(DataError, match=r"graph\.onnx: damaged"):
        map_all(frames_of(9), pool, 3)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (UnavailableError("no such device"), "no such device"),
        (None, "no worker can be started: it fell over"),
    ],
)
@pytest.mark.parametrize("workers", [1, 2, 5])
def test_workers_that_never_start_are_given_up(
    error: UnavailableError | None, told: str, workers: int
) -> None:
    pool = PlayedPool(start=lambda number: Died(number, "it fell over", error=error))
    with pytest.raises(UnavailableError) as given_up:
        map_all(frames_of(9), pool, workers)
    assert str(given_up.value) == told


def test_one_worker_does_it_if_no_other_starts() -> None:
    pool = PlayedPool(start=lambda number: Died(number, "no room") if number != 1 else None)
    assert map_all(frames_of(30), pool, 3) == ["done"] * 30


def test_encoded_images_on_their_way_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers that cannot read the store have less than the bound and one shard more."""
    monkeypatch.setattr("edgeloop.labeling.workers.dispatch._SENT_BYTES", 1000)
    pool = PlayedPool(shard_frames=4, shards_ahead=8, reads_store=False)
    assert map_all(frames_of(100, size=150), pool, 6) == ["done"] * 100
    assert 1000 <= pool.most_sent < 1000 + 4 * 150


def test_images_of_a_dead_worker_are_on_their_way_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeloop.labeling.workers.dispatch._SENT_BYTES", 1000)
    deadly = [str(number) for number in range(0, 100, 9)]
    pool = PlayedPool(reads_store=False, fate=dies_on(*deadly))
    assert map_all(frames_of(100, size=150), pool, 4).count("done") == 100 - len(deadly)


def test_images_that_cannot_be_read_are_sent_as_their_reason() -> None:
    sent: list[Any] = []

    class Watched(PlayedPool):
        def submit(self, worker: int, shard: Shard[NamedItem]) -> None:
            sent.extend(shard.data or ())
            super().submit(worker, Shard(shard.places, shard.items, [b""] * len(shard.items)))

    job = frames_of(1)
    assert list(map_frames(job, [NamedItem("gone"), NamedItem("0")], Watched(reads_store=False), 1))
    assert isinstance(sent[0], OSError)
    assert sent[0].strerror == "No such file or directory"
    assert sent[1] == b"x"


@settings(deadline=None)
@given(
    frames=st.integers(1, 40),
    workers=st.integers(1, 6),
    shard_frames=st.integers(1, 9),
    shards_ahead=st.integers(1, 3),
    batch=st.integers(1, 4),
    reads_store=st.booleans(),
    data=st.data(),
)
def test_every_frame_has_one_row_whatever_happens(
    frames: int,
    workers: int,
    shard_frames: int,
    shards_ahead: int,
    batch: int,
    reads_store: bool,
    data: st.DataObject,
) -> None:
    """Any order of events, deaths of workers and of machines, and frames that fail."""
    deadly = {str(number) for number in data.draw(st.sets(st.integers(0, frames - 1), max_size=4))}
    bad = {str(number) for number in data.draw(st.sets(st.integers(0, frames - 1), max_size=4))}
    accidents = data.draw(st.lists(st.booleans(), max_size=4))  # with the machine, or without
    chances = data.draw(st.lists(st.integers(0, 10**6), max_size=200))

    def chance(count: int) -> int:
        return chances.pop() % count if chances else 0

    def fate(shard: Shard[NamedItem]) -> Died | None:
        if accidents and chance(3) == 1:
            return Died(0, "an accident", with_machine=True) if accidents.pop() else Died(0, "killed")
        return Died(0, "deadly") if deadly & {item.file for item in shard.items} else None

    pool = PlayedPool(
        shard_frames=shard_frames,
        shards_ahead=shards_ahead,
        reads_store=reads_store,
        choose=chance,
        fate=fate,
        fault=lambda file: "bad" if file in bad else None,
    )
    job = StandInJob(frames_of(frames).store, batch=batch)
    rows = map_all(job, pool, workers)
    killed = {str(place) for place, row in enumerate(rows) if "workers died" in row}
    assert killed >= deadly
    assert {str(place) for place, row in enumerate(rows) if row == "failed: bad"} == bad - killed
    assert all(row == "done" for place, row in enumerate(rows) if str(place) not in killed | bad)
    assert len(killed - deadly) <= 4  # each by one of the accidents, next to another death


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], None]:
    """Set the cores and the free memory, MB, of this machine."""

    def become(cores: int, memory_mb: int) -> None:
        monkeypatch.setattr("edgeloop.labeling.workers.open_pool.physical_cores", lambda: cores)
        monkeypatch.setattr("edgeloop.labeling.workers.open_pool.available_memory", lambda: memory_mb << 20)

    return become


@pytest.mark.parametrize(
    ("cores", "memory_mb", "frames", "threads", "expected"),
    [
        pytest.param(4, 3000, 9, True, "4 workers label: threads of this process", id="one a core"),
        pytest.param(64, 90000, 99, True, "16 workers label: threads of this process", id="many cores"),
        pytest.param(4, 600, 9, True, "2 workers label: threads of this process", id="little memory"),
        pytest.param(4, 100, 9, True, "1 worker labels: this process", id="no memory"),
        pytest.param(4, 3000, 1, True, "1 worker labels: this process", id="one frame"),
        pytest.param(4, 3000, 9, False, "1 worker labels: this process", id="large models"),
    ],
)
def test_threads_are_as_many_as_this_machine_has_room_for(
    cores: int,
    memory_mb: int,
    frames: int,
    threads: bool,
    expected: str,
    machine: Callable[[int, int], None],
) -> None:
    machine(cores, memory_mb)
    job = StandInJob(frames_of(frames).store, threads=threads)
    told: list[str] = []
    assert rows_of(job, items_of(job.store), None, told.append) == ["x"] * frames
    assert told == [expected]


def test_threads_work_side_by_side_and_set_aside_what_one_worker_does(
    machine: Callable[[int, int], None],
) -> None:
    machine(2, 3000)
    rows = rows_of(*(job := _job(b"meet", b"meet", b"bad", b"refused")), None)
    assert sorted(rows[:2]) == ["0", "1"]
    assert rows[2:] == rows_of(job[0], job[1][2:], 1)


def test_threads_say_which_frames_they_wait_for(caplog: pytest.LogCaptureFixture) -> None:
    job, items = _job(b"meet", b"x")
    pool = ThreadPool(job)
    pool.start_worker()
    for place, item in enumerate(items):
        pool.submit(0, Shard([place], [item]))
    until(lambda: MEETING.n_waiting == 1)
    other = threading.Timer(0.2, MEETING.wait)
    other.start()
    pool.close()
    other.join()
    assert "waits for the 1 frame in work" in caplog.text


def test_an_interrupt_ends_the_threads(machine: Callable[[int, int], None]) -> None:
    machine(2, 3000)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        job, items = _job(*[b"x"] * 9, b"interrupt", *[b"x"] * 9999)
        with pytest.raises(KeyboardInterrupt), closing(run_job(job, items, Workers())) as rows:
            deque(rows)
    finally:
        signal.signal(signal.SIGINT, before)
    until(lambda: not any(each.name.startswith("edgeloop-frames") for each in threading.enumerate()), 60)


def _job(*frames: bytes) -> tuple[StandInJob, list[NamedItem]]:
    job = StandInJob(MemoryStore({str(number): content for number, content in enumerate(frames)}))
    return job, items_of(job.store)
