"""Process of this machine that handles frames, from its own side."""

from __future__ import annotations

import os
import pickle
import threading
import traceback
from contextlib import suppress
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any

from edgeloop.labeling.workers.frame_job import FrameJob, Shard, handle_shard
from edgeloop.labeling.workers.worker_cores import share_cores
from edgeloop.models.errors import EdgeloopError

__all__ = ["OpenFailure", "work"]

OpenFailure = tuple[str, EdgeloopError | None]
"""One line, and the error if edgeloop raised it on purpose."""


def work(pipe_fd: int, job_fd: int, cores: int) -> None:
    """Handle shards until the other end of the pipe is closed, then end this process at once.

    Sends None once the models are loaded, or an `OpenFailure`; then the outcomes of each shard.

    Args:
        pipe_fd: File descriptor of a socket that brings shards and takes messages.
        job_fd: File descriptor of a file with the pickled job.
        cores: Number of cores to use.
    """
    share_cores(cores)  # before the job loads torch
    pipe = Connection(pipe_fd)
    shards: SimpleQueue[Shard[Any]] = SimpleQueue()
    threading.Thread(target=_receive, args=(pipe, shards), daemon=True).start()
    with suppress(OSError):  # nobody listens any more
        try:
            job: FrameJob[Any, Any] = pickle.loads(os.pread(job_fd, os.fstat(job_fd).st_size, 0))
            handler = job.open(job.files)
        except Exception as error:
            pipe.send(_failure(error))
            return
        pipe.send(None)
        while True:
            pipe.send(handle_shard(handler, job, shards.get()))


def _receive(pipe: Connection, shards: SimpleQueue[Shard[Any]]) -> None:
    code = 0
    try:
        while True:
            shards.put(pipe.recv())
    except (EOFError, OSError):
        pass  # a frame in work may take long, and nobody waits for it
    except Exception:  # a shard that cannot be unpickled here; this process would wait for it for ever
        traceback.print_exc()
        code = 1
    os._exit(code)


def _failure(error: Exception) -> OpenFailure:
    reason = f"{type(error).__name__}: {error}".splitlines()[0]
    return reason, error if isinstance(error, EdgeloopError) else None
