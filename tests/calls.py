"""Calls of the command line, and their outcome."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO

import pytest

from edgeloop.edge.cli.app import main


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


def run_here(
    command: Sequence[str], *, capture_output: bool = False, **_: object
) -> subprocess.CompletedProcess[bytes]:
    """Stand-in for `subprocess.run` that calls `edgeloop` in this process, which has loaded torch already.

    Args:
        command: Python with its options, "edgeloop", and the words of the call.
        capture_output: As of `subprocess.run`.
    """
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sys, "argv", command[command.index("edgeloop") :])
        if capture_output:
            patched.setattr(sys, "stdout", out)
            patched.setattr(sys, "stderr", err)
        with pytest.raises(SystemExit) as left:
            main()
    assert isinstance(left.value.code, int)
    for stream in (out, err):
        stream.seek(0)
    return subprocess.CompletedProcess(command, left.value.code, out.buffer.read(), err.buffer.read())
