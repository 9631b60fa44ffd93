"""Progress for programs: JSON lines on the file descriptor that EDGELOOP_PROGRESS_FD names.

Each line is {"description", "done", "total", "rate"}: label of the bar, steps done, all steps (null if
unknown), steps per second (null at first). Whoever reads them is taken for the person at the terminal: when
they close their end, the command ends as by Ctrl-C.
"""

from __future__ import annotations

import json
import os
import select
import signal
import threading
import time

from edgeloop.models.errors import UsageError

__all__ = ["ProgressEvents", "open_progress_events"]

_PROGRESS_FD = "EDGELOOP_PROGRESS_FD"
_PERIOD_S = 0.2

_opened: int | None = None


def open_progress_events() -> None:
    """Take the file descriptor from the environment, if one is named, and end with its reader.

    Raises:
        UsageError: It is not open.
    """
    global _opened
    text = os.environ.pop(_PROGRESS_FD, None)  # a child of this process does not have it
    if text is None:
        return
    try:
        descriptor = int(text)
        os.fstat(descriptor)
        os.set_inheritable(descriptor, False)
    except (ValueError, OSError, OverflowError) as error:
        raise UsageError(f"{_PROGRESS_FD}={text}: expected the number of an open file descriptor") from error
    _opened = descriptor
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a shell's background jobs
    threading.Thread(target=_end_with_reader, args=(descriptor,), daemon=True).start()


def _end_with_reader(descriptor: int) -> None:
    poll = select.poll()
    poll.register(descriptor, 0)  # errors alone, of which the closing of the other end is one
    poll.poll()
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


class ProgressEvents:
    """Progress of one bar, told at most five times a second and at its end."""

    def __init__(self, total: int | None, description: str, done: int) -> None:
        """Tell that work begins, `done` steps of which were done earlier."""
        self._total, self._description, self._first = total, description.strip(), done
        self._began = self._told = time.monotonic()
        self.tell(done, last=True)

    def tell(self, done: int, *, last: bool = False) -> None:
        """Tell the number of steps done; `last` tells it in any case."""
        global _opened
        now = time.monotonic()
        if _opened is None or (not last and now - self._told < _PERIOD_S):
            return
        self._told, passed = now, now - self._began
        rate = (done - self._first) / passed if done > self._first and passed > 0 else None
        said = {
            "description": self._description,
            "done": done,
            "total": self._total,
            "rate": rate and round(rate, 3),
        }
        try:
            os.write(_opened, json.dumps(said).encode() + b"\n")
        except OSError:
            _opened = None
