"""Options of a source: NAME?option=value&option=value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from edgeloop.models.errors import UsageError

__all__ = ["RATE", "SIZE", "Known", "between", "read_options"]

Known = Mapping[str, tuple[Callable[[str], Any], str]]
"""By option: a function that reads its value or raises ValueError, and the expected value in words."""


def read_options(name: str, query: str, known: Known) -> dict[str, Any]:
    """Read the options of a source.

    Args:
        name: Source, for errors.
        query: Text after the question mark.
        known: Options that the source has.

    Returns:
        The values of the options that are given.

    Raises:
        UsageError: An option is unknown, or its value out of range.
    """
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError as error:
        raise UsageError(f"source {name}: {error}; expected name=value pairs joined by &") from error
    values: dict[str, Any] = {}
    for option, value in pairs:
        if option not in known:
            raise UsageError(f"source {name}: no option {option!r}; there are: {', '.join(known)}")
        read, expected = known[option]
        try:
            values[option] = read(value)
        except ValueError as error:
            raise UsageError(f"source {name}: {option}={value}: expected {expected}") from error
    return values


def between(kind: Callable[[str], float], low: float, high: float) -> Callable[[str], float]:
    """Make a reader of numbers in a range, ends included.

    Args:
        kind: `int` or `float`.
        low: Lowest value.
        high: Highest value.

    Returns:
        A function that raises ValueError for any other text.
    """

    def read(value: str) -> float:
        number = kind(value)
        if not low <= number <= high:
            raise ValueError(value)
        return number

    return read


SIZE: Known = {side: (between(int, 16, 16384), "pixels from 16 to 16384") for side in ("width", "height")}
"""Options for the size of frames."""

RATE: Known = {"fps": (between(float, 0.1, 1000), "frames a second from 0.1 to 1000")}
"""Option for frames per second."""
