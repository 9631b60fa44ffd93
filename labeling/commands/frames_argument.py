"""Paths of the command line that may or may not be addresses."""

from __future__ import annotations

import os
from typing import Any

import click

from edgeloop.edge.source_name import is_address, shown_name

__all__ = ["FramesArgument", "LocalPath"]


class FramesArgument(click.Path):
    """Path, or an address in object storage as text."""

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> Any:
        """Leave an address as it is."""
        return value if isinstance(value, str) and is_address(value) else super().convert(value, param, ctx)


class LocalPath(click.Path):
    """Path of this machine."""

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> Any:
        """Refuse an address."""
        if isinstance(value, str) and is_address(value):
            self.fail(f"{shown_name(value)} is an address; expected a path of this machine", param, ctx)
        return super().convert(value, param, ctx)
