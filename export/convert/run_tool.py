"""Run a maker's tool in a process of its own: it may crash, print and change folders without harm."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from edgeloop.models.errors import ModelError, UnavailableError
from edgeloop.models.facts.metadata_text import shorten

__all__ = ["last_words", "run_tool"]

_LIMIT_S = 1800
_LONGEST = 400
_COLOR = re.compile(r"\x1b\[[0-9;]*m")
_FAULT = re.compile(r"error|exception|fail|fatal|abort|no op |not supported|unsupported", re.IGNORECASE)
_LETTER = re.compile(r"[^\W\d_]")


def run_tool(name: str, command: Sequence[str | Path], folder: Path) -> str:
    """Run a tool and return what it printed, stdout and stderr in one.

    Args:
        name: Name for errors.
        command: Program and arguments.
        folder: Working folder.

    Raises:
        UnavailableError: The program cannot be started.
        ModelError: It failed, or ran for longer than half an hour.
    """
    # Tools that report their use leave it out in continuous integration.
    environment = os.environ | {"CI": "true", "DO_NOT_TRACK": "1"}
    try:
        ended = subprocess.run(
            [str(part) for part in command],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_LIMIT_S,
            check=False,
        )
    except OSError as error:
        raise UnavailableError(f"{name}: cannot be started ({error.strerror}): {command[0]}") from error
    except subprocess.TimeoutExpired as error:
        raise ModelError(f"{name}: still running after {_LIMIT_S // 60} minutes; stopped") from error
    said = ended.stdout.decode(errors="replace")
    if ended.returncode:
        raise ModelError(f"{name}: failed with exit code {ended.returncode}; it said: {last_words(said)}")
    return said


def last_words(said: str) -> str:
    """Last line of a tool's output that names a fault, else the last one in words, else "nothing"."""
    lines = [line.strip() for line in _COLOR.sub("", said).replace("\r", "\n").splitlines()]
    told = [line for line in lines if _LETTER.search(line)] or ["nothing"]
    return shorten(next((line for line in reversed(told) if _FAULT.search(line)), told[-1]), _LONGEST)
