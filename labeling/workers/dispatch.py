"""Distribution of frames to workers, and what happens when a worker dies."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from edgeloop.labeling.workers.frame_job import FrameItem, FrameJob, Outcome, Shard
from edgeloop.models.errors import DataError, EdgeloopError, UnavailableError

__all__ = ["Died", "Event", "Finished", "Ready", "WorkerPool", "map_frames"]

log = logging.getLogger(__name__)

ItemT = TypeVar("ItemT", bound=FrameItem)
RowT = TypeVar("RowT")

_ROUNDS_LEFT = 4  # shards shrink so that each worker gets this many more: all end at about the same time
_MOST_DEATHS = 2  # of workers, while they handle one frame
_MOST_MACHINES = 5  # that die while one frame is in work there: of themselves, so many are no accident
_MOST_FAILED_STARTS = 3  # in a row
_MOST_FAILED_FRAMES = 50  # from the first on: no frame will ever work
_SENT_BYTES = 256 << 20  # encoded images on their way


@dataclass(frozen=True, slots=True)
class Ready:
    """A worker has loaded its models.

    Attributes:
        worker: Its number.
        reads_store: True if it can read the frames itself, False if they must be sent.
    """

    worker: int
    reads_store: bool = True


@dataclass(frozen=True, slots=True)
class Finished(Generic[RowT]):
    """A worker has finished the shard that it got first.

    Attributes:
        worker: Its number.
        outcomes: One for each frame of the shard.
    """

    worker: int
    outcomes: Sequence[Outcome[RowT]]


@dataclass(frozen=True, slots=True)
class Died:
    """A worker ended by itself; a new one has its place if the pool can start one.

    Attributes:
        worker: Its number.
        reason: One line.
        with_machine: True if its machine is gone: then the frames in work are hardly to blame, and the pool
            tells of it, once for all workers of the machine.
        error: What the models of the job were refused for; None for any other reason.
        by_memory: True if its machine's memory may be full: then it is not replaced while others work.
    """

    worker: int
    reason: str
    with_machine: bool = False
    error: EdgeloopError | None = None
    by_memory: bool = False


Event = Ready | Finished[RowT] | Died


class WorkerPool(Protocol[ItemT, RowT]):
    """Workers in this process, in processes of this machine, or on a cluster."""

    @property
    def shard_frames(self) -> int:
        """Number of frames that a worker gets at a time."""
        ...

    @property
    def shards_ahead(self) -> int:
        """Number of shards that a worker may hold: one in work, and those that wait."""
        ...

    def start_worker(self) -> None:
        """Start one more worker; `Ready` or `Died` follows."""
        ...

    def submit(self, worker: int, shard: Shard[ItemT]) -> None:
        """Give a shard to a worker that is ready; it handles its shards in order."""
        ...

    def wait(self) -> Sequence[Event[RowT]]:
        """Wait for the next events."""
        ...

    def close(self) -> None:
        """End all workers."""
        ...


@dataclass
class _Task:
    """Shard.

    Attributes:
        places: Positions of its frames.
        deaths: Number of workers that died while they handled it.
        machines: Number of machines that did.
        alone: True if its worker gets no other shard beside it. The last answer of a worker can be lost when
            it dies in the next shard, which then looks innocent: only a worker with one shard shows what
            killed it.
        sent_bytes: Size of the images that were sent with it.
    """

    places: Sequence[int]
    deaths: int = 0
    machines: int = 0
    alone: bool = False
    sent_bytes: int = 0


@dataclass
class _Worker:
    """Worker that is ready, with the shards that it has, the one in work first."""

    reads_store: bool
    tasks: deque[_Task] = field(default_factory=deque)


def map_frames(
    job: FrameJob[ItemT, RowT], items: Sequence[ItemT], pool: WorkerPool[ItemT, RowT], workers: int
) -> Generator[tuple[int, RowT], None, None]:
    """Handle frames by many workers.

    A frame that fails gives the row that `job.failed` makes, as does one during which two workers, or five
    machines, died. What a worker that dies has in work is handled by others.

    Args:
        job: What is done to each frame.
        items: The frames.
        pool: Its workers are started and ended here.
        workers: Number of workers.

    Yields:
        Position and row of each frame, in any order.

    Raises:
        UnavailableError: No worker can be started, or the store does not answer.
        DataError: The first 50 frames that can be read all fail.
    """
    try:
        yield from _Dispatch(job, items, pool, workers).run()
    finally:
        pool.close()


class _Dispatch(Generic[ItemT, RowT]):
    def __init__(
        self, job: FrameJob[ItemT, RowT], items: Sequence[ItemT], pool: WorkerPool[ItemT, RowT], workers: int
    ) -> None:
        self._job, self._items, self._pool = job, items, pool
        self._wanted = min(workers, max(len(items), 1))
        self._workers: dict[int, _Worker] = {}
        self._starting = 0
        self._failed_starts = 0
        self._next = 0
        self._again: deque[_Task] = deque()
        self._sent_bytes = 0
        self._left = len(items)
        self._failed_first = 0
        self._any_succeeded = False

    def run(self) -> Iterator[tuple[int, RowT]]:
        if not self._items:
            return
        for _ in range(self._wanted):
            self._start()
        while self._left:
            for event in self._pool.wait():
                if isinstance(event, Ready):
                    self._starting -= 1
                    self._failed_starts = 0
                    self._workers[event.worker] = _Worker(event.reads_store)
                elif isinstance(event, Finished):
                    yield from self._settle(event)
                else:
                    yield from self._bury(event)
            self._supply()

    def _start(self) -> None:
        self._starting += 1
        self._pool.start_worker()

    def _settle(self, done: Finished[RowT]) -> Iterator[tuple[int, RowT]]:
        task = self._workers[done.worker].tasks.popleft()
        self._sent_bytes -= task.sent_bytes
        for place, outcome in zip(task.places, done.outcomes, strict=True):
            if outcome.error is not None:
                raise outcome.error
            if outcome.fault is None:
                self._any_succeeded = True
                yield place, outcome.row  # type: ignore[misc]  # a row whenever there is no fault
            else:
                self._count_failed(outcome)
                yield place, self._job.failed(self._items[place], outcome.fault)
        self._left -= len(task.places)

    def _count_failed(self, outcome: Outcome[RowT]) -> None:
        """Refuse to go on if nothing works; images that cannot be read say nothing about the models."""
        self._failed_first += not (self._any_succeeded or outcome.is_unread)
        if self._failed_first >= _MOST_FAILED_FRAMES:
            raise DataError(
                f"{self._job.store}: the first {self._failed_first} frames all failed: {outcome.fault}"
            )

    def _bury(self, dead: Died) -> Iterator[tuple[int, RowT]]:
        """Distribute anew what a dead worker had, its frames in work one by one."""
        worker = self._workers.pop(dead.worker, None)
        if dead.error is not None and not isinstance(dead.error, UnavailableError):
            raise dead.error  # it is the same for all
        if worker is None:  # it was never ready
            self._starting -= 1
            self._failed_starts += not dead.with_machine
            if self._failed_starts >= _MOST_FAILED_STARTS:
                self._give_up(dead)
                return
        else:
            suspect = worker.tasks.popleft() if worker.tasks else None
            for task in worker.tasks:
                self._take_back(task)
            if suspect is not None:
                yield from self._suspect(suspect, dead)
            if not dead.with_machine:
                log.warning("worker %d: %s; others go on with its frames", dead.worker, dead.reason)
        if self._left and not (dead.by_memory and (self._workers or self._starting)):
            self._start()

    def _take_back(self, task: _Task) -> None:
        self._sent_bytes -= task.sent_bytes
        self._again.append(_Task(task.places, task.deaths, task.machines, alone=True))

    def _suspect(self, task: _Task, dead: Died) -> Iterator[tuple[int, RowT]]:
        self._sent_bytes -= task.sent_bytes
        deaths, machines = task.deaths + (not dead.with_machine), task.machines + dead.with_machine
        if deaths < _MOST_DEATHS and machines < _MOST_MACHINES:
            self._again.extend(_Task([place], deaths, machines, alone=True) for place in task.places)
            return
        who = f"{machines} machines" if dead.with_machine else f"{deaths} workers"
        reason = f"{who} died while they handled it ({dead.reason})"
        for place in task.places:
            self._left -= 1
            self._count_failed(Outcome(None, reason))
            yield place, self._job.failed(self._items[place], reason)

    def _give_up(self, dead: Died) -> None:
        """Go on with the workers that are there, if any."""
        if not self._workers and not self._starting:
            raise dead.error or UnavailableError(f"no worker can be started: {dead.reason}")
        log.warning("no further worker is started: %s", dead.reason)

    def _supply(self) -> None:
        """Give shards to workers, the idle ones first."""
        for held in range(self._pool.shards_ahead):
            for number, worker in self._workers.items():
                if len(worker.tasks) != held or any(task.alone for task in worker.tasks):
                    continue
                if (task := self._next_task(is_idle=held == 0)) is not None:
                    self._submit(number, worker, task)

    def _next_task(self, is_idle: bool) -> _Task | None:
        """Next shard for a worker; what dead workers left comes first, and goes to idle ones."""
        if self._sent_bytes >= _SENT_BYTES:
            return None
        if self._again:
            return self._again.popleft() if is_idle else None
        if self._next == len(self._items):
            return None
        fair = (len(self._items) - self._next) // (_ROUNDS_LEFT * max(len(self._workers), 1))
        size = max(self._job.batch, min(self._pool.shard_frames, fair), 1)
        start, self._next = self._next, min(self._next + size, len(self._items))
        return _Task(range(start, self._next))

    def _submit(self, number: int, worker: _Worker, task: _Task) -> None:
        items = [self._items[place] for place in task.places]
        data = None
        if not worker.reads_store:
            data = [self._read(item) for item in items]
            task.sent_bytes = sum(len(image) for image in data if isinstance(image, bytes))
            self._sent_bytes += task.sent_bytes
        worker.tasks.append(task)
        self._pool.submit(number, Shard(task.places, items, data))

    def _read(self, item: ItemT) -> bytes | OSError:
        try:
            return self._job.store.read(item.file)
        except OSError as error:
            return OSError(error.errno, error.strerror or str(error))  # one that pickles, whatever its class
