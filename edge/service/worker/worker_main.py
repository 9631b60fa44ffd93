"""Child process of a model: loads a detector, and answers frames until its parent ends.

Started as `python -m edgeloop.edge.service.worker.worker_main SOCKET MEMORY`, two inherited file descriptors.
"""

from __future__ import annotations

import gc
import logging
import os
import select
import signal
import sys
import threading
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.runtime.frame_detector import FrameDetector
from edgeloop.edge.service.worker.frame_memory import FrameMemory
from edgeloop.edge.service.worker.worker_detector import open_worker_detector
from edgeloop.edge.service.worker.worker_messages import Answer, LoadedModel, LoadRequest, LogLine
from edgeloop.models.errors import EdgeloopError, ModelError

__all__ = ["main"]


def main() -> None:
    """Load the model that the parent asks for, then answer each frame that it puts into the memory."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # they are for the parent, which ends this process
    with suppress(OSError):  # if memory runs out, this process goes rather than the parent
        Path("/proc/self/oom_score_adj").write_text("500")
    connection, memory = Connection(int(sys.argv[1])), FrameMemory(int(sys.argv[2]))
    threading.Thread(target=_end_with_parent, args=(connection.fileno(),), daemon=True).start()
    logger = logging.getLogger("edgeloop")
    logger.addHandler(_ToParent(connection))
    logger.propagate = False
    try:
        detector, loaded = _load(connection.recv())
    except Exception as error:
        connection.send(_portable(error))
        return
    gc.collect()
    gc.freeze()
    connection.send(loaded)
    while True:
        image = memory.view(connection.recv())
        connection.send(_answer(detector, image))


def _load(request: LoadRequest) -> tuple[FrameDetector, LoadedModel]:
    detector, digest = open_worker_detector(request)
    frames = getattr(detector, "frames", None)  # a teacher has none
    loaded = LoadedModel(digest, detector.spec, detector.placement, detector.threads, frames)
    return detector, loaded


def _answer(detector: FrameDetector, image: NDArray[np.uint8]) -> Answer | EdgeloopError:
    try:
        return Answer(*detector.detect_timed(image))
    except Exception as error:  # whatever it is, it belongs to this frame
        return _portable(error)


def _portable(error: Exception) -> EdgeloopError:
    """Make an error that can be sent: without its cause, and of a type that the parent knows."""
    if isinstance(error, EdgeloopError):
        return type(error)(str(error))
    return ModelError(f"{type(error).__name__}: {error}")


def _end_with_parent(fd: int) -> None:
    """End this process as soon as the parent is gone, also in the middle of a model that hangs."""
    gone = select.poll()
    gone.register(fd, 0)  # of hang-ups alone
    gone.poll()
    os._exit(0)


class _ToParent(logging.Handler):
    """Handler that sends the log to the parent."""

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self._connection = connection

    def emit(self, record: logging.LogRecord) -> None:
        self._connection.send(LogLine(record.levelno, record.getMessage()))


if __name__ == "__main__":
    with suppress(EOFError, ConnectionError):  # the parent has ended
        main()
