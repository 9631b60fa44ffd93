"""Runner of command lines as child processes, one at a time, which end with this process.

A job is paused by SIGINT: the verbs keep what is done, and the same command line goes on.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Literal, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from edgeloop.edge.web.page_events import Events
from edgeloop.models.errors import DataError, EdgeloopError, UnavailableError

__all__ = ["Job", "JobStatus", "Runner", "Verb", "command_line"]

Verb = Literal["label", "train", "export", "teach"]
Status = Literal["idle", "running", "pausing", "paused", "done", "failed"]

_EDGELOOP = (sys.executable, "-P", "-m", "edgeloop")  # a torch.py in the present folder is not meant
_NICE = 5
_STATUS: dict[int, Status] = {0: "done", 130: "paused", -signal.SIGINT: "paused"}  # by exit code
_EVENT_PERIOD_S = 0.25
_GRACE_S = 120.0  # from SIGINT to SIGKILL: a step of a training on a slow machine, and its checkpoint
_CLOSING_S = 10.0
_TAIL_BYTES = 8192
_PROGRESS_FD = "EDGELOOP_PROGRESS_FD"


class JobProgress(BaseModel):
    """Progress of one phase; a line of EDGELOOP_PROGRESS_FD.

    Attributes:
        description: Name of the phase, such as "Labeling".
        done: Steps done.
        total: All steps; None if unknown.
        rate: Steps per second; None if unknown.
    """

    model_config = ConfigDict(frozen=True)

    description: str
    done: int
    total: int | None
    rate: float | None


class JobStatus(BaseModel):
    """Status of a verb.

    Attributes:
        verb: The verb.
        status: "failed" until it is started again; "paused" also if an earlier studio paused it.
        command: Command line of the last start.
        seconds: Duration of this start so far, or of the last one.
        phases: Progress of each phase, the last is the present one.
        message: Last line of a failed command.
        exit_code: Exit code of the last start; None while it runs.
        kill_in_s: Time until a command that does not pause is killed, s; None if it was not asked to.
    """

    verb: Verb
    status: Status = "idle"
    command: str = ""
    seconds: float = 0.0
    phases: list[JobProgress] = []
    message: str | None = None
    exit_code: int | None = None
    kill_in_s: float | None = None


def command_line(arguments: Sequence[str]) -> str:
    """Text of a command for people to copy into a terminal."""
    return shlex.join(["edgeloop", *arguments])


class Job:
    """One run of one verb, in a thread that lives as long as it does."""

    def __init__(
        self,
        verb: Verb,
        arguments: Sequence[str],
        log: Path,
        events: Events,
        program: Sequence[str],
        on_end: Callable[[], None],
    ) -> None:
        """Start it; `log` gets its output after that of earlier runs.

        Raises:
            UnavailableError: The log cannot be written, or no process can be started.
        """
        self.verb, self._events, self._log, self._on_end = verb, events, log, on_end
        self._command = command_line(arguments)
        self._began = time.monotonic()
        self._ended: float | None = None
        self._asked: float | None = None  # when it was asked to pause
        self._phases: dict[str, JobProgress] = {}
        self._told = 0.0
        reader, writer = os.pipe()
        environment = {**os.environ, _PROGRESS_FD: str(writer), "PYTHONUNBUFFERED": "1"}
        try:
            log.parent.mkdir(exist_ok=True)
            with log.open("ab") as out:
                out.write(f"$ {self._command}\n".encode())
                out.flush()
                self._child = subprocess.Popen(
                    [*program, *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=out,
                    pass_fds=(writer,),
                    env=environment,
                    process_group=0,
                )
            with suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, self._child.pid, _NICE)
        except OSError as error:
            os.close(reader)
            raise UnavailableError(f"{log}: the command cannot be started ({error.strerror})") from error
        finally:
            os.close(writer)
        self._killer = threading.Timer(_GRACE_S, self._signal, (signal.SIGKILL,))
        self._killer.daemon = True
        self._thread = threading.Thread(target=self._follow, args=(os.fdopen(reader),), daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        """True until its process ended."""
        return self._ended is None

    def status(self) -> JobStatus:
        """Status of now."""
        running = self._ended is None
        code = None if running else self._child.returncode
        status: Status = "running" if code is None else _STATUS.get(code, "failed")
        left = None
        if running and self._asked is not None:
            status, left = "pausing", max(0.0, _GRACE_S - (time.monotonic() - self._asked))
        return JobStatus(
            verb=self.verb,
            status=status,
            command=self._command,
            seconds=round((self._ended or time.monotonic()) - self._began, 1),
            phases=list(self._phases.values()),
            message=self._message(code) if status == "failed" else None,
            exit_code=code,
            kill_in_s=left and round(left),
        )

    def pause(self) -> None:
        """Ask it to pause; it is killed if it does not within two minutes."""
        if self.running and self._asked is None:
            self._asked = time.monotonic()
            self._signal(signal.SIGINT)
            self._killer.start()
            self._send()

    def wait(self, seconds: float) -> None:
        """Wait for its end, for so many seconds at most."""
        self._thread.join(seconds)

    def _follow(self, lines: IO[str]) -> None:
        with lines:
            for line in lines:
                with suppress(ValidationError, ValueError):
                    progress = JobProgress.model_validate(json.loads(line))
                    new = progress.description not in self._phases
                    self._phases.pop(progress.description, None)
                    self._phases[progress.description] = progress  # the present one last
                    if new or time.monotonic() - self._told >= _EVENT_PERIOD_S:
                        self._send()
        self._child.wait()
        self._killer.cancel()
        self._ended = time.monotonic()
        self._on_end()
        self._send()

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._child.pid, number)

    def _send(self) -> None:
        self._told = time.monotonic()
        self._events.send("job", self.status().model_dump(), sticky=True)

    def _message(self, code: int | None) -> str:
        if code is not None and code < 0:
            return f"ended by {signal.Signals(-code).name}; what was done before is kept"
        lines = [line.strip() for line in read_tail(self._log).splitlines() if line.strip()]
        return lines[-1] if lines else f"ended with exit code {code}"


class Runner:
    """Starts the jobs of a project."""

    def __init__(
        self,
        logs: Path,
        events: Events,
        *,
        program: Sequence[str] = _EDGELOOP,
        on_start: Callable[[], None] = lambda: None,
        on_end: Callable[[], None] = lambda: None,
    ) -> None:
        """Keep logs in a folder, which is made with the first job.

        Args:
            logs: The folder.
            events: Events for open pages.
            program: Gets the arguments.
            on_start: Called before a job starts.
            on_end: Called when it ended, in any thread.
        """
        self._logs, self._events, self._program = logs, events, program
        self._on_start, self._on_end = on_start, on_end
        self._lock = threading.Lock()
        self._jobs: dict[Verb, Job] = {}

    def start(self, verb: Verb, arguments: Sequence[str]) -> JobStatus:
        """Start a job.

        Raises:
            DataError: One is running.
            EdgeloopError: It cannot be started.
        """
        with self._lock:
            if (running := self.running()) is not None:
                raise DataError(f"{running}: is still running; pause it first")
            self._on_start()
            try:
                job = Job(verb, arguments, self.log(verb), self._events, self._program, self._on_end)
            except EdgeloopError:
                self._on_end()
                raise
            self._jobs[verb] = job
        return job.status()

    def running(self) -> Verb | None:
        """Verb that runs now; None if none does."""
        return next((verb for verb, job in self._jobs.items() if job.running), None)

    def pause(self, verb: Verb) -> JobStatus:
        """Ask a job to pause, if it runs."""
        with self._lock:
            if verb in self._jobs:
                self._jobs[verb].pause()
        return self.status(verb)

    def status(self, verb: Verb) -> JobStatus:
        """Status of a verb, as far as this runner started it."""
        job = self._jobs.get(verb)
        return JobStatus(verb=verb) if job is None else job.status()

    def log(self, verb: Verb) -> Path:
        """File with the output of a verb."""
        return self._logs / f"{verb}.log"

    def close(self) -> None:
        """Pause what runs, and wait for it a while; it ends with this process in any case."""
        for verb in get_args(Verb):
            self.pause(verb)
        for job in self._jobs.values():
            job.wait(_CLOSING_S)


def read_tail(path: Path, most_bytes: int = _TAIL_BYTES) -> str:
    """End of a text file, so many bytes at most; empty if there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - most_bytes))
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""
