"""Result of a frame with the doubt about it."""

from __future__ import annotations

from dataclasses import dataclass

from edgeloop.edge.result import Result

__all__ = ["JudgedFrame"]


@dataclass(frozen=True, slots=True, eq=False)
class JudgedFrame:
    """Result whose doubt is known.

    Attributes:
        result: The result.
        time_s: Time in seconds of its frame in its source; NaN if unknown, as of pictures.
        doubt: Doubt about its detections, in [0, 1], as of `uncertainty`.
    """

    result: Result
    time_s: float
    doubt: float
