"""Calls of edgeloop's own verbs, in processes of their own, as a user would type them."""

from __future__ import annotations

import shlex
import subprocess
import sys

import click

from edgeloop.models.errors import EdgeloopError

__all__ = ["VerbError", "call_verb"]


class VerbError(EdgeloopError):
    """A verb ended with an error, which it has printed itself."""

    def __init__(self, verb: str, exit_code: int) -> None:
        super().__init__(f"demo stopped: `edgeloop {verb}` ended with exit code {exit_code}, see above")
        self.exit_code = exit_code


def call_verb(verb: str, *arguments: object) -> None:
    """Run a verb; its progress and results go where ours go.

    Args:
        verb: Name of the verb.
        arguments: Its arguments, each turned into text.

    Raises:
        VerbError: It ended with another exit code than 0.
    """
    words = [verb, *map(str, arguments)]
    click.secho(f"\n$ edgeloop {shlex.join(words)}", bold=True, err=True)
    exit_code = subprocess.run([sys.executable, "-P", "-m", "edgeloop", *words], check=False).returncode
    if exit_code:
        raise VerbError(verb, exit_code)
