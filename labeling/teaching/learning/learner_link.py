"""The process that learns, as the one that answers sees it: started, followed, started again."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from edgeloop.edge.service.worker.restart_pacer import RestartPacer
from edgeloop.labeling.teaching.learning.learner_messages import MESSAGES, Message

__all__ = ["LearnerLink", "learner_command"]

_MODULE = "edgeloop.labeling.teaching.learning.learning_process"
_MOST_RESTARTS = 5  # in a row, without a message in between that something was learned


def learner_command(loop: Path, plan: str) -> list[str]:
    """Make the command line of the process, from the loop and the `LearningPlan` as JSON."""
    return [sys.executable, "-P", "-m", _MODULE, str(loop), plan]


class LearnerLink:
    """Link to the process that learns; it ends with this one.

    Attributes:
        done: Set once nothing more will be learned: it has finished, or has ended too often.
        restarts: Number of restarts so far.
    """

    def __init__(
        self,
        command: Sequence[str],
        on_message: Callable[[Message], None],
        tell: Callable[[str], None],
        pacer: RestartPacer | None = None,
    ) -> None:
        """Prepare the link.

        Args:
            command: Command line of the process.
            on_message: Called with each message, in a thread of the link.
            tell: Called with lines for the person.
            pacer: Pace of restarts; None for the usual one.
        """
        self._command, self._on_message, self._tell = list(command), on_message, tell
        self._pacer = pacer or RestartPacer()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._frames, self._ended = 0, False
        self._in_a_row = 0
        self._closed = threading.Event()
        self.done = threading.Event()
        self.restarts = 0
        self._thread = threading.Thread(target=self._run, name="edgeloop-learner", daemon=True)

    def start(self) -> None:
        """Start the process."""
        self._thread.start()

    @property
    def pid(self) -> int | None:
        """Number of the process; None while there is none."""
        process = self._process
        return None if process is None else process.pid

    def frames(self, count: int) -> None:
        """Say how many frames are kept."""
        self._frames = count
        self._say(f"frames {count}")

    def ended(self) -> None:
        """Say that no more frames will come."""
        self._ended = True
        self._say("ended")

    def close(self) -> None:
        """End the process; what it has on disk stays."""
        self._closed.set()
        with self._lock:
            if self._process is not None:
                self._process.kill()
        if self._thread.is_alive():
            self._thread.join()

    def _say(self, command: str) -> None:
        with self._lock:
            if self._process is not None and self._process.stdin is not None:
                with suppress(OSError, ValueError):  # it just ended, which `_run` tells
                    self._process.stdin.write(command + "\n")
                    self._process.stdin.flush()

    def _run(self) -> None:
        """Follow one process after the other until one finishes its work."""
        try:
            while not self._closed.is_set():
                began = time.monotonic()
                why = self._follow_one()
                if (
                    why is None
                    or self._closed.is_set()
                    or not self._may_restart(why, time.monotonic() - began)
                ):
                    return
        finally:
            self.done.set()

    def _may_restart(self, why: str, held_s: float) -> bool:
        """Say why a process ended and wait for the time to start another; False if it ended too often."""
        self._in_a_row += 1
        if self._in_a_row > _MOST_RESTARTS:
            self._tell(f"The learning ended {self._in_a_row} times in a row, at last as {why}; it stays off")
            return False
        pause_s = self._pacer.pause_s(time.monotonic(), held_s)
        after = f" in {pause_s:.0f} s" if pause_s >= 1 else ""
        self._tell(f"The learning ended, as {why}; it starts again{after} and goes on with what is on disk")
        if self._closed.wait(pause_s):
            return False
        self._pacer.count(time.monotonic())
        self.restarts += 1
        return True

    def _follow_one(self) -> str | None:
        """Start a process and take its messages until it ends; the reason if that is too early."""
        try:
            with self._lock:
                if self._closed.is_set():  # `close` had no process to end
                    return None
                process = self._process = subprocess.Popen(
                    self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                    text=True, process_group=0,
                )  # fmt: skip
        except OSError as error:  # no memory, or too many processes or open files
            return f"it cannot be started ({error.strerror})"
        self._say(f"frames {self._frames}")
        if self._ended:
            self._say("ended")
        said: deque[str] = deque(maxlen=1)
        errors = threading.Thread(target=_drain, args=(process.stderr or (), said), daemon=True)
        errors.start()
        with process:
            for line in process.stdout or ():
                with suppress(ValidationError):  # a line that a library printed
                    self._take(MESSAGES.validate_json(line))
            code = process.wait()
            errors.join()
        with self._lock:
            self._process = None
        if code == 0:
            return None
        if code < 0:
            return f"it was ended by signal {-code}"
        return said[0] if said else f"it ended with status {code}"

    def _take(self, message: Message) -> None:
        if message.kind != "told":
            self._in_a_row = 0
        self._on_message(message)


def _drain(lines: Iterable[str], said: deque[str]) -> None:
    for line in lines:
        if line.strip():
            said.append(line.strip())
