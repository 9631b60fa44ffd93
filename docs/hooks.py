"""Build hook of the documentation: the help of every verb, as the command line prints it."""

from __future__ import annotations

from typing import Any

import click

from edgeloop.edge.cli.app import cli

_PLACE = "<!-- help of every verb -->"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put the help texts into the page that asks for them."""
    return markdown.replace(_PLACE, _help()) if _PLACE in markdown else markdown


def _help() -> str:
    parent = click.Context(cli, info_name="edgeloop", max_content_width=100, terminal_width=100)
    sections = []
    if not cli.list_commands(parent):
        raise RuntimeError("edgeloop has no verbs here: install it first, `pip install -e '.[docs]'`")
    for name in cli.list_commands(parent):
        verb = cli.get_command(parent, name)
        if verb is not None:
            text = verb.get_help(click.Context(verb, info_name=name, parent=parent))
            sections.append(f"## edgeloop {name}\n\n```text\n{text}\n```")
    return "\n\n".join(sections)
