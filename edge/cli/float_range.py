"""Number range of a command-line option, without NaN and infinity."""

from __future__ import annotations

import math
from typing import Any

import click

__all__ = ["FloatRange"]


class FloatRange(click.FloatRange):
    """Range of finite numbers; click's own accepts `nan`, and `inf` if there is no upper end."""

    def __init__(self, *args: Any, forever: bool = False, **kwargs: Any) -> None:
        """Set the ends as `click.FloatRange` does, and accept the word `forever` as infinity if told so."""
        super().__init__(*args, **kwargs)
        self._forever = forever

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """See `click.ParamType.convert`."""
        if self._forever and value == "forever":
            return math.inf
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number
