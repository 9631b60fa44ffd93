"""Attempts at something that may fail or hang, several at the same time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from edgeloop.models.errors import DataError, EdgeloopError, UnavailableError, UsageError

__all__ = ["Attempt", "CheckResult", "try_all"]

Status = Literal["ok", "warning", "failed"]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """Result of one check.

    Attributes:
        part: Kind of the thing: "config", "state", "port", "clock", "model", "camera", "zones", "mqtt",
            "webhook".
        name: Its name in the configuration; "" if there is one alone.
        status: "warning" for what works and is hardly meant.
        text: Figures, or what fails and what to do, in one line.
        code: Exit code: 0; 65 if the file or a model is wrong; 69 if something is not there.
        value: What later checks need of it; None for nothing.
    """

    part: str
    name: str
    status: Status
    text: str
    code: int = 0
    value: Any = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """Something to try.

    Attributes:
        part: As in `CheckResult`.
        name: As in `CheckResult`.
        work: Returns a text of one line, and what later checks need; raises if it fails.
        limit_s: Seconds after which it counts as failed.
    """

    part: str
    name: str
    work: Callable[[], tuple[str, Any]]
    limit_s: float


def try_all(attempts: Sequence[Attempt]) -> Iterator[CheckResult]:
    """Try everything at the same time.

    Args:
        attempts: The attempts. The threads of those that hang are left to end with the process.

    Yields:
        Results in the order of the attempts, each as soon as it is known.
    """
    running = [_Running(attempt) for attempt in attempts]
    started = time.monotonic()
    for each in running:
        each.start()
    for each in running:
        each.join(max(started + each.attempt.limit_s - time.monotonic(), 0))
        yield each.result()


class _Running(threading.Thread):
    def __init__(self, attempt: Attempt) -> None:
        super().__init__(name=f"check {attempt.part} {attempt.name}", daemon=True)
        self.attempt = attempt
        self._found: tuple[str, Any] | None = None
        self._error: Exception | None = None

    def run(self) -> None:
        try:
            self._found = self.attempt.work()
        except Exception as error:  # whatever it is, the other attempts go on
            self._error = error

    def result(self) -> CheckResult:
        part, name, error = self.attempt.part, self.attempt.name, self._error
        if self._found is not None:
            text, value = self._found
            return CheckResult(part, name, "ok", text, 0, value)
        if error is None:
            error = UnavailableError(f"no answer within {self.attempt.limit_s:g} s")
        text = str(error) if isinstance(error, EdgeloopError) else f"{type(error).__name__}: {error}"
        code = (
            DataError.exit_code if isinstance(error, DataError | UsageError) else UnavailableError.exit_code
        )
        return CheckResult(part, name, "failed", " ".join(text.split()), code)
