"""One child process with a loaded model, from the side of the parent."""

from __future__ import annotations

import logging
import signal
import socket
import subprocess
import sys
import time
from multiprocessing.connection import Connection
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.service.worker.frame_memory import FrameMemory
from edgeloop.edge.service.worker.worker_messages import Answer, LoadedModel, LoadRequest, LogLine
from edgeloop.models.errors import EdgeloopError, UnavailableError

__all__ = ["WorkerLostError", "WorkerProcess", "start_process"]

log = logging.getLogger(__name__)

T = TypeVar("T")

_MODULE = "edgeloop.edge.service.worker.worker_main"
_LEAVE_S = 0.5


class WorkerLostError(UnavailableError):
    """The child process hangs or has died.

    Attributes:
        kind: "hang" or "crash".
    """

    def __init__(self, kind: Literal["hang", "crash"], message: str) -> None:
        """Name the kind and the failure in one line."""
        super().__init__(message)
        self.kind = kind


class WorkerProcess:
    """Child process for one model.

    Attributes:
        pid: Its process id.
        loaded: Facts of the model, once it is loaded.
    """

    loaded: LoadedModel

    def __init__(self, process: subprocess.Popen[bytes], connection: Connection, memory: FrameMemory) -> None:
        """Keep what `start_process` made."""
        self._process, self._connection, self._memory = process, connection, memory
        self.pid = process.pid

    @property
    def alive(self) -> bool:
        """True unless the process has ended."""
        return self._process.poll() is None

    def load(self, request: LoadRequest, limit_s: float, first_s: float) -> None:
        """Load the model, and wait until it has answered a blank frame.

        Args:
            request: The model.
            limit_s: Maximum time in seconds to load it.
            first_s: Maximum time in seconds of the blank frame.

        Raises:
            UnavailableError: The process died, takes longer, or gives no answer: the file may be sound, and
                the device not.
            EdgeloopError: The model cannot be loaded.
        """
        self.loaded = self._ask(request, LoadedModel, limit_s)
        width, height = self.loaded.spec.input_size
        try:
            self.detect(np.zeros((height, width, 3), np.uint8), first_s)
        except EdgeloopError as error:
            raise UnavailableError(f"{request.file}: no answer to a blank frame: {error}") from error

    def detect(self, image: NDArray[np.uint8], limit_s: float) -> Answer:
        """Detect in one image (HxWx3 uint8 BGR).

        Raises:
            WorkerLostError: The process died, or takes longer than `limit_s` seconds.
            EdgeloopError: The detector failed on this image.
        """
        try:
            self._memory.put(image)
        except OSError as error:
            raise UnavailableError(f"no memory for a frame ({error.strerror})") from error
        return self._ask(image.shape, Answer, limit_s)

    def kill(self) -> None:
        """End the process at once. Safe from any thread, also while another one waits for an answer."""
        self._process.kill()

    def close(self) -> None:
        """End the process at once, and release its memory."""
        self.kill()
        try:
            self._process.wait(_LEAVE_S)
        except subprocess.TimeoutExpired:  # in a driver that does not let go; it is reaped later
            log.warning("process %d of a model does not end", self.pid)
        self._connection.close()
        self._memory.close()

    def _ask(self, message: object, expected: type[T], limit_s: float) -> T:
        ends_at = time.monotonic() + limit_s
        try:
            self._connection.send(message)
            while self._connection.poll(max(ends_at - time.monotonic(), 0.0)):
                answer = self._connection.recv()
                if isinstance(answer, expected):
                    return answer
                if isinstance(answer, EdgeloopError):
                    raise answer
                if isinstance(answer, LogLine):
                    log.log(answer.level, "%s", answer.text)
        except EdgeloopError:
            raise
        except Exception as error:  # a process that dies may leave half a message
            raise WorkerLostError("crash", self._end()) from error
        raise WorkerLostError("hang", f"no answer within {limit_s:g} s")

    def _end(self) -> str:
        """Say how the process ended."""
        try:
            code = self._process.wait(_LEAVE_S)
        except subprocess.TimeoutExpired:
            return "its process gives answers that cannot be read"
        return f"its process ended: {signal.strsignal(-code) if code < 0 else f'exit code {code}'}"


def start_process() -> WorkerProcess:
    """Start a child process.

    Raises:
        UnavailableError: This machine has no room for it.
    """
    try:
        memory = FrameMemory()
        try:
            return WorkerProcess(*_start(memory), memory)
        except BaseException:
            memory.close()
            raise
    except OSError as error:
        raise UnavailableError(f"no process can be started for a model ({error.strerror})") from error


def _start(memory: FrameMemory) -> tuple[subprocess.Popen[bytes], Connection]:
    ours, theirs = socket.socketpair()
    fds = theirs.fileno(), memory.fd
    with ours, theirs:
        # In a process group of its own: the interrupt of a terminal is for the parent alone.
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", _MODULE, *map(str, fds)],
            pass_fds=fds,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            process_group=0,
        )
        return process, Connection(ours.detach())
