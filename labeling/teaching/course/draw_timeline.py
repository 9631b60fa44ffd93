"""Picture of a teaching: frames per second and mAP50 over time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.draw.style import FONT
from edgeloop.edge.host.opencv import write_image
from edgeloop.labeling.teaching.course.timeline import Moment, smoothed

__all__ = ["Mark", "draw_timeline"]

_INK, _GRID, _MARK = (60, 60, 60), (225, 225, 225), (150, 150, 150)
_RATE, _SCORE = (180, 119, 31), (14, 127, 255)  # BGR
_WIDTH, _LEFT, _RIGHT = 1000, 70, 970
_TOPS, _HEIGHT = (90, 340), 190  # of the panels, px
_SMOOTH_S = 5.0
_SUBPIXEL = 4  # bits behind the point in coordinates of OpenCV

Curve = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Mark:
    """Moment to mark.

    Attributes:
        time_s: Seconds since the start.
        text: What happened.
    """

    time_s: float
    text: str


def draw_timeline(moments: Sequence[Moment], marks: Sequence[Mark], title: str, path: Path) -> None:
    """Draw the course of a teaching into a PNG file; without a score, frames per second alone.

    Raises:
        UnavailableError: The file cannot be written.
    """
    scores = [(moment.time_s, moment.map50) for moment in moments if moment.map50 is not None]
    rates = smoothed(moments, _SMOOTH_S)
    end = max((moment.time_s for moment in moments), default=0.0) or 1.0
    height = (_TOPS[1] if scores else _TOPS[0]) + _HEIGHT + 60
    canvas = np.full((height, _WIDTH, 3), 255, np.uint8)
    _write(canvas, title, (_WIDTH // 2, 24), scale=0.55, anchor=0.5)
    fastest = max((rate for _, rate in rates), default=1.0)
    _panel(canvas, "frames per second", rates, _TOPS[0], (end, _above(fastest)), _RATE)
    if scores:
        _panel(canvas, "mAP50 against the scene's truth, last 10 s", scores, _TOPS[1], (end, 1.0), _SCORE)
    bottom = height - 60
    for number, mark in enumerate(marks):
        column = _LEFT + round((_RIGHT - _LEFT) * min(mark.time_s / end, 1.0))
        cv2.line(canvas, (column, _TOPS[0] - 6), (column, bottom), _MARK, 1, cv2.LINE_AA)
        text, late = f"{mark.text}, {mark.time_s:.0f} s", mark.time_s > 0.6 * end
        place = (column - 5 if late else column + 5, _TOPS[0] - 8 + 14 * (number % 2))
        _write(canvas, text, place, anchor=1.0 if late else 0.0)
    _write(canvas, "seconds", ((_LEFT + _RIGHT) // 2, bottom + 40), anchor=0.5)
    write_image(path, canvas)


def _above(value: float) -> float:
    """Round number just above a value."""
    step = 10 ** math.floor(math.log10(max(value, 1.0)))
    return float(next(step * share for share in (1, 2, 3, 4, 6, 8, 10) if step * share >= value))


def _panel(
    canvas: NDArray[np.uint8],
    title: str,
    curve: Curve,
    top: int,
    ends: tuple[float, float],
    color: tuple[int, int, int],
) -> None:
    """Draw a curve below its title, from 0 to the ends of both axes."""
    bottom = top + _HEIGHT
    _write(canvas, title, (_LEFT, top - 26 if top == _TOPS[0] else top - 10))
    for tick in _ticks(ends[0]):
        column = _LEFT + round((_RIGHT - _LEFT) * tick / ends[0])
        cv2.line(canvas, (column, bottom), (column, top), _GRID)
        _write(canvas, f"{tick:g}", (column, bottom + 18), anchor=0.5)
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        row = bottom - round(_HEIGHT * share)
        cv2.line(canvas, (_LEFT, row), (_RIGHT, row), _GRID)
        _write(canvas, f"{ends[1] * share:g}", (_LEFT - 8, row + 4), anchor=1.0)
    cv2.line(canvas, (_LEFT, bottom), (_RIGHT, bottom), _INK)
    points = [
        (_LEFT + (_RIGHT - _LEFT) * at / ends[0], bottom - _HEIGHT * min(value / ends[1], 1.0))
        for at, value in curve
    ]
    places = (np.array(points).reshape(-1, 1, 2) * 2**_SUBPIXEL).round().astype(np.int32)
    cv2.polylines(canvas, [places], False, color, 2, cv2.LINE_AA, _SUBPIXEL)


def _ticks(end: float) -> list[float]:
    step = 10 ** math.floor(math.log10(end))
    step = next(step * share for share in (0.1, 0.2, 0.5, 1, 2) if end / (step * share) <= 10)
    return [step * count for count in range(int(end / step) + 1)]


def _write(
    canvas: NDArray[np.uint8], text: str, place: tuple[int, int], *, scale: float = 0.4, anchor: float = 0.0
) -> None:
    """Write a line of text; `anchor` 0 puts its left end at the place, 0.5 its middle, 1 its right end."""
    (width, _), _ = cv2.getTextSize(text, FONT, scale, 1)
    place = (place[0] - round(anchor * width), place[1])
    cv2.putText(canvas, text, place, FONT, scale, _INK, 1, cv2.LINE_AA)
