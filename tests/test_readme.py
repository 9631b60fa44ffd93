"""What the README says is so: its commands exist, with these options, and its files are there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from edgeloop.edge.cli.app import cli

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text()
BLOCKS = "\n".join(re.findall(r"```(?:sh|console)\n(.*?)```", TEXT, re.DOTALL))
COMMANDS = [re.split(r" +# | > ", line)[0] for line in BLOCKS.splitlines() if line.startswith("edgeloop ")]
LINKS = re.findall(r"\]\((?!https?:)([^)#]+)\)", TEXT)


@pytest.mark.parametrize("command", COMMANDS)
def test_command_parses(command: str) -> None:
    verb, *arguments = shlex.split(command)[1:]
    with click.Context(cli) as context:
        found = cli.get_command(context, verb)
        assert found is not None, verb
        found.make_context(verb, arguments)


def test_every_verb_is_in_the_readme() -> None:
    with click.Context(cli) as context:
        assert {command.split()[1] for command in COMMANDS} == set(cli.list_commands(context))


@pytest.mark.parametrize("target", sorted(set(LINKS)))
def test_link_leads_somewhere(target: str) -> None:
    assert (ROOT / target).exists()


def test_both_make_targets_exist() -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {"demo", "test"} <= set(targets)
    assert all(f"make {target}" in TEXT for target in ("demo", "test"))
