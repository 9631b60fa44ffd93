"""The one worker that is this process itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

from edgeloop.labeling.workers.dispatch import Event, Finished, Ready
from edgeloop.labeling.workers.frame_job import FrameHandler, FrameItem, FrameJob, Shard, handle_shard

__all__ = ["InlinePool"]

ItemT = TypeVar("ItemT", bound=FrameItem)
RowT = TypeVar("RowT")


class InlinePool(Generic[ItemT, RowT]):
    """See `WorkerPool`: frames are handled one after another, while the caller waits.

    Attributes:
        shard_frames: See `WorkerPool.shard_frames`: every frame is settled before the next.
        shards_ahead: See `WorkerPool.shards_ahead`.
    """

    shard_frames = shards_ahead = 1

    def __init__(self, job: FrameJob[ItemT, RowT]) -> None:
        """Keep the job; its models are loaded by `start_worker`."""
        self._job = job
        self._handlers: list[FrameHandler[ItemT, RowT]] = []
        self._events: list[Event[RowT]] = []

    def start_worker(self) -> None:
        """See `WorkerPool.start_worker`."""
        self._handlers.append(self._job.open(self._job.files))
        self._events.append(Ready(len(self._handlers) - 1))

    def submit(self, worker: int, shard: Shard[ItemT]) -> None:
        """See `WorkerPool.submit`."""
        self._events.append(Finished(worker, handle_shard(self._handlers[worker], self._job, shard)))

    def wait(self) -> Sequence[Event[RowT]]:
        """See `WorkerPool.wait`."""
        events, self._events = self._events, []
        return events

    def close(self) -> None:
        """See `WorkerPool.close`."""
        self._handlers.clear()
