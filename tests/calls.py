"""Calls of the command line, and their outcome."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from typing import IO


@dataclass(frozen=True)
class Outcome:
    """Exit code and output of a call of the command line."""

    code: int
    out: str
    err: str


def edgeloop(
    *words: object, timeout_s: float = 60, stdin: IO[bytes] | None = None
) -> subprocess.CompletedProcess[str]:
    """Call `edgeloop` in a new process."""
    command = [sys.executable, "-P", "-m", "edgeloop", *map(str, words)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=timeout_s, stdin=stdin
    )
