"""Workers that are threads of this process."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Generic, TypeVar

from edgeloop.edge.host.hardware import limited_cores
from edgeloop.labeling.workers.dispatch import Event, Finished, Ready
from edgeloop.labeling.workers.frame_job import (
    FrameHandler,
    FrameItem,
    FrameJob,
    Outcome,
    Shard,
    handle_shard,
)

__all__ = ["ThreadPool"]

log = logging.getLogger(__name__)

ItemT = TypeVar("ItemT", bound=FrameItem)
RowT = TypeVar("RowT")


class ThreadPool(Generic[ItemT, RowT]):
    """See `WorkerPool`: threads share the models, and each handles a frame of its own on one core.

    Attributes:
        shard_frames: See `WorkerPool.shard_frames`: every frame is settled as soon as it is done.
        shards_ahead: See `WorkerPool.shards_ahead`: no thread waits for the caller.
    """

    shard_frames = 1
    shards_ahead = 2

    def __init__(self, job: FrameJob[ItemT, RowT]) -> None:
        """Keep the job, one whose `FrameJob.threads` is True; the first worker loads its models."""
        self._job = job
        self._handler: FrameHandler[ItemT, RowT] | None = None
        self._threads: list[ThreadPoolExecutor] = []
        self._ready: list[Event[RowT]] = []
        self._work: dict[Future[list[Outcome[RowT]]], int] = {}

    def start_worker(self) -> None:
        """See `WorkerPool.start_worker`."""
        if self._handler is None:
            with limited_cores(1):
                self._handler = self._job.open(self._job.files)
        self._ready.append(Ready(len(self._threads)))
        self._threads.append(ThreadPoolExecutor(1, "edgeloop-frames"))

    def submit(self, worker: int, shard: Shard[ItemT]) -> None:
        """See `WorkerPool.submit`."""
        assert self._handler is not None  # noqa: S101  it has started
        work = self._threads[worker].submit(handle_shard, self._handler, self._job, shard)
        self._work[work] = worker

    def wait(self) -> Sequence[Event[RowT]]:
        """See `WorkerPool.wait`."""
        if self._ready:
            events, self._ready = self._ready, []
            return events
        done, _ = wait(self._work, return_when=FIRST_COMPLETED)
        in_order = [work for work in self._work if work in done]
        return [Finished(self._work.pop(work), work.result()) for work in in_order]

    def close(self) -> None:
        """See `WorkerPool.close`; frames in work are finished, in vain."""
        left = sum(not work.cancel() and not work.done() for work in self._work)
        if left:
            log.warning("waits for the %d frame%s in work, then ends", left, "s" * (left > 1))
        for thread in self._threads:
            thread.shutdown()
