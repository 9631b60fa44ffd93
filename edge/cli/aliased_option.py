"""Command-line option with hidden aliases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

__all__ = ["AliasedOption"]


class AliasedOption(click.Option):
    """Option with further spellings that work but are not shown in `--help`."""

    def __init__(self, param_decls: Sequence[str], *, aliases: Sequence[str], **attrs: Any) -> None:
        """Create the option, by `click.option(..., cls=AliasedOption, aliases=["--old"])`.

        Args:
            param_decls: Spellings that `--help` shows.
            aliases: Spellings that it does not.
            attrs: Further arguments of `click.Option`.
        """
        super().__init__([*param_decls, *aliases], **attrs)
        self._aliases = frozenset(aliases)

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Build the line of `--help`, without the aliases."""
        spellings = self.opts
        self.opts = [spelling for spelling in spellings if spelling not in self._aliases]
        try:
            return super().get_help_record(ctx)
        finally:
            self.opts = spellings
