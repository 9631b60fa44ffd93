"""Workers in processes of this machine."""

from __future__ import annotations

import multiprocessing
import pickle
import signal
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Generic, TypeVar

from edgeloop.edge.host.hardware import usable_cores
from edgeloop.labeling.workers.dispatch import Died, Event, Finished, Ready
from edgeloop.labeling.workers.frame_job import FrameItem, FrameJob, Shard, handle_shard
from edgeloop.labeling.workers.worker_cores import share_cores
from edgeloop.models.errors import EdgeloopError

__all__ = ["ProcessPool"]

ItemT = TypeVar("ItemT", bound=FrameItem)
RowT = TypeVar("RowT")

_SPAWN = multiprocessing.get_context("spawn")  # a fork would inherit the locks of onnxruntime's threads
_END_S = 5.0


@dataclass
class _Process:
    process: BaseProcess
    pipe: Connection
    ready: bool = False


class ProcessPool(Generic[ItemT, RowT]):
    """See `WorkerPool`: the cores of this machine are shared out evenly.

    A worker ends when this process ends, however that happens.

    Attributes:
        shard_frames: See `WorkerPool.shard_frames`.
        shards_ahead: See `WorkerPool.shards_ahead`; no pipe is written to before the worker reads from it.
    """

    shard_frames = 8
    shards_ahead = 1

    def __init__(self, job: FrameJob[ItemT, RowT], workers: int) -> None:
        """Prepare the job for `workers` processes."""
        self._job = pickle.dumps(job)
        self._cores = max(1, usable_cores() // workers)
        self._started = 0
        self._processes: dict[int, _Process] = {}

    def start_worker(self) -> None:
        """See `WorkerPool.start_worker`."""
        here, there = _SPAWN.Pipe()
        process = _SPAWN.Process(target=_work, args=(there, self._cores), daemon=True)
        process.start()
        there.close()
        with suppress(OSError):  # it has ended already, as `wait` will find
            here.send_bytes(self._job)
        self._processes[self._started] = _Process(process, here)
        self._started += 1

    def submit(self, worker: int, shard: Shard[ItemT]) -> None:
        """See `WorkerPool.submit`."""
        with suppress(OSError):
            self._processes[worker].pipe.send(shard)

    def wait(self) -> Sequence[Event[RowT]]:
        """See `WorkerPool.wait`."""
        by_pipe = {own.pipe: number for number, own in self._processes.items()}
        return [self._receive(by_pipe[pipe]) for pipe in wait(list(by_pipe)) if isinstance(pipe, Connection)]

    def _receive(self, worker: int) -> Event[RowT]:
        own = self._processes[worker]
        try:
            message = own.pipe.recv()
        except (EOFError, OSError):
            return self._died(worker, own)
        if own.ready:
            return Finished(worker, message)
        if message is not None:
            self._end(self._processes.pop(worker))
            return Died(worker, *message)
        own.ready = True
        return Ready(worker)

    def _died(self, worker: int, own: _Process) -> Died:
        del self._processes[worker]
        self._end(own)
        code = own.process.exitcode or 0
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        hint = "; is the memory full?" if code == -signal.SIGKILL else ""
        return Died(worker, f"its process {how}{hint}")

    def close(self) -> None:
        """See `WorkerPool.close`."""
        for own in self._processes.values():
            own.process.terminate()
        for own in self._processes.values():
            self._end(own)
        self._processes.clear()

    def _end(self, own: _Process) -> None:
        own.pipe.close()
        own.process.join(_END_S)
        if own.process.is_alive():
            own.process.kill()
            own.process.join()


def _work(pipe: Connection, cores: int) -> None:
    """Handle shards until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the first process ends the others
    share_cores(cores)  # before the job loads torch
    with suppress(EOFError, OSError):
        job: FrameJob[Any, Any] = pickle.loads(pipe.recv_bytes())
        try:
            handler = job.open(job.files)
        except Exception as error:
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            pipe.send((reason, False, error if isinstance(error, EdgeloopError) else None))
            return
        pipe.send(None)
        while True:
            pipe.send(handle_shard(handler, job, pipe.recv()))
