"""Call edgeloop's own verbs in subprocesses, as a user would."""

from __future__ import annotations

import shlex
import subprocess
import sys

import click

from edgeloop.models.errors import EdgeloopError

__all__ = ["VerbError", "call_verb"]


class VerbError(EdgeloopError):
    """Failure of a verb, which has printed the reason."""

    def __init__(self, verb: str, exit_code: int) -> None:
        super().__init__(f"demo stopped: `edgeloop {verb}` ended with exit code {exit_code}, see above")
        self.exit_code = exit_code


def call_verb(verb: str, *arguments: object) -> None:
    """Run a verb on the stdout and stderr of this process; raise VerbError if its exit code is not 0."""
    words = [verb, *map(str, arguments)]
    click.secho(f"\n$ edgeloop {shlex.join(words)}", bold=True, err=True)
    exit_code = subprocess.run([sys.executable, "-P", "-m", "edgeloop", *words], check=False).returncode
    if exit_code:
        raise VerbError(verb, exit_code)
