"""Calls of the command line, and how they end."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class Outcome:
    """How a call of the command line ended."""

    code: int
    out: str
    err: str


def edgeloop(*words: object, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
    """Call `edgeloop` in a process of its own."""
    command = [sys.executable, "-P", "-m", "edgeloop", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout_s)
