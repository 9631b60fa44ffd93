"""Doubt about one frame: a value in each of several signs, and one in all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from edgeloop.edge.result import Result

__all__ = ["SIGNS", "Doubt", "JudgedFrame", "Sign"]

Sign = Literal["threshold", "broken_track", "silence", "motion", "empty_place", "scale"]
"""Sign of a wrong or missing detection.

`threshold`: a score close to the threshold. `broken_track`: an object that the frames before and after show.
`silence`: far fewer objects than in the frames around. `motion`: something moves that no box covers.
`empty_place`: nothing where something usually is. `scale`: another size of the image gives other boxes.
"""

SIGNS: tuple[Sign, ...] = get_args(Sign)


@dataclass(frozen=True, slots=True)
class Doubt:
    """Doubt about the detections of one frame.

    Attributes:
        value: Doubt in all, in [0, 1]: an estimate of the probability that something is wrong or missing.
        signs: Value of each sign that was looked at, in [0, 1].
    """

    value: float
    signs: Mapping[Sign, float]


@dataclass(frozen=True, slots=True, eq=False)
class JudgedFrame:
    """Result whose doubt is known, which takes the frames after it.

    Attributes:
        result: The result.
        time_s: Time in seconds of its frame in its source; NaN if unknown, as of pictures.
        doubt: Doubt about its detections.
    """

    result: Result
    time_s: float
    doubt: Doubt
