"""Workers in processes of this machine."""

from __future__ import annotations

import os
import pickle
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Generic, TypeVar

from edgeloop.edge.host.hardware import usable_cores
from edgeloop.labeling.workers.dispatch import Died, Event, Finished, Ready
from edgeloop.labeling.workers.frame_job import FrameItem, FrameJob, Shard

__all__ = ["ProcessPool"]

ItemT = TypeVar("ItemT", bound=FrameItem)
RowT = TypeVar("RowT")

# Not a fork, which would inherit the locks of onnxruntime's threads; nor the spawn of multiprocessing, which
# runs the script of a user again.
_PROGRAM = (
    "import sys; sys.path[:] = sys.argv[4:]; "
    "from edgeloop.labeling.workers.process_worker import work; work(*map(int, sys.argv[1:4]))"
)
_END_S = 5.0


@dataclass
class _Process:
    process: subprocess.Popen[bytes]
    pipe: Connection
    ready: bool = False


class ProcessPool(Generic[ItemT, RowT]):
    """See `WorkerPool`: the cores of this machine are shared out evenly.

    A worker ends at once when this process ends, however that happens.

    Attributes:
        shard_frames: See `WorkerPool.shard_frames`: every frame is settled as soon as it is done.
        shards_ahead: See `WorkerPool.shards_ahead`: no worker waits for this process.
    """

    shard_frames = 1
    shards_ahead = 2

    def __init__(self, job: FrameJob[ItemT, RowT], workers: int) -> None:
        """Prepare the job for `workers` processes."""
        self._job = tempfile.TemporaryFile()  # noqa: SIM115  # `close` closes it
        self._job.write(pickle.dumps(job))
        self._job.flush()
        self._cores = max(1, usable_cores() // workers)
        self._started = 0
        self._processes: dict[int, _Process] = {}
        self._not_started: list[Event[RowT]] = []

    def start_worker(self) -> None:
        """See `WorkerPool.start_worker`."""
        worker, self._started = self._started, self._started + 1
        try:
            self._processes[worker] = self._start()
        except OSError as error:
            self._not_started.append(Died(worker, f"its process cannot be started ({error.strerror})"))

    def _start(self) -> _Process:
        ours, theirs = socket.socketpair()
        fds = theirs.fileno(), self._job.fileno()
        cores = str(self._cores)
        with ours, theirs:
            process = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM, *map(str, fds), cores, *sys.path],
                pass_fds=fds,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                process_group=0,  # the interrupt of a terminal is for this process, which ends the others
                env={**os.environ, "OMP_NUM_THREADS": cores},  # numpy reads it as it is imported
            )
            return _Process(process, Connection(ours.detach()))

    def submit(self, worker: int, shard: Shard[ItemT]) -> None:
        """See `WorkerPool.submit`."""
        with suppress(OSError):  # it has ended, as `wait` will find
            self._processes[worker].pipe.send(shard)

    def wait(self) -> Sequence[Event[RowT]]:
        """See `WorkerPool.wait`."""
        if self._not_started:
            events, self._not_started = self._not_started, []
            return events
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
            reason, error = message
            self._end(self._processes.pop(worker))
            return Died(worker, reason, error=error)
        own.ready = True
        return Ready(worker)

    def _died(self, worker: int, own: _Process) -> Died:
        del self._processes[worker]
        self._end(own)
        code = own.process.returncode
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        by_memory = code == -signal.SIGKILL
        hint = "; is the memory full?" if by_memory else ""
        return Died(worker, f"its process {how}{hint}", by_memory=by_memory)

    def close(self) -> None:
        """See `WorkerPool.close`."""
        for own in self._processes.values():
            own.process.kill()  # it has nothing to save
        for own in self._processes.values():
            self._end(own)
        self._processes.clear()
        self._job.close()

    def _end(self, own: _Process) -> None:
        own.pipe.close()
        try:
            own.process.wait(_END_S)
        except subprocess.TimeoutExpired:
            own.process.kill()
            own.process.wait()
