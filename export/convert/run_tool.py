"""Run a maker's tool in a process of its own: it may crash, print and change folders without harm."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from edgeloop.models.errors import ModelError, UnavailableError

__all__ = ["run_tool"]

_LIMIT_S = 1800
_LINES = 12


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
        last = "\n".join(said.strip().splitlines()[-_LINES:])
        raise ModelError(f"{name}: failed with exit code {ended.returncode}:\n{last}")
    return said
