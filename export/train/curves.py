"""Training curves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.host.opencv import write_image
from edgeloop.export.train.run_record import RunRecord

__all__ = ["draw_curves"]

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_INK, _GRID = (60, 60, 60), (225, 225, 225)
_COLORS = ((180, 119, 31), (14, 127, 255), (44, 160, 44), (40, 39, 214))  # BGR
_ROWS = (350, 70)  # bottom and top of a panel, px
_LEAST = 1e-4  # of a loss on the logarithmic axis
_SUBPIXEL = 4  # bits behind the point in coordinates of OpenCV

Curve = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class _Axis:
    """Axis from `low` to `high`, drawn between two pixels of the canvas.

    Attributes:
        ticks: Values to mark.
    """

    low: float
    high: float
    first_px: int
    last_px: int
    ticks: Sequence[float]
    logarithmic: bool = False

    def px(self, value: float) -> float:
        low, high = self.low, self.high
        if self.logarithmic:
            value, low, high = (math.log10(max(each, _LEAST)) for each in (value, low, high))
        return self.first_px + (self.last_px - self.first_px) * (value - low) / (high - low)


def draw_curves(record: RunRecord, path: Path) -> None:
    """Draw loss and mAP over time into a PNG file.

    Raises:
        UnavailableError: The file cannot be written.
    """
    canvas = np.full((400, 1000, 3), 255, np.uint8)
    title = f"{record.model}, {record.images} images, {len(record.epochs)} epochs"
    _write(canvas, title, (500, 24), scale=0.55, anchor=0.5)
    epochs = record.epochs
    end = max((epoch.seconds for epoch in epochs), default=0.0) or 1.0
    losses = {
        name.removesuffix("_loss"): [(epoch.seconds, epoch.loss[name]) for epoch in epochs]
        for name in (epochs[0].loss if epochs else ())
    }
    scores = {
        "mAP50": [(epoch.seconds, epoch.map50) for epoch in epochs if epoch.map50 is not None],
        "mAP50-95": [(epoch.seconds, epoch.map50_95) for epoch in epochs if epoch.map50_95 is not None],
    }
    masks = {
        "mask mAP50": [(epoch.seconds, epoch.mask_map50) for epoch in epochs if epoch.mask_map50 is not None],
        "mask mAP50-95": [
            (epoch.seconds, epoch.mask_map50_95) for epoch in epochs if epoch.mask_map50_95 is not None
        ],
    }
    scores |= {name: curve for name, curve in masks.items() if curve}
    _draw_panel(canvas, "training loss", losses, _seconds(end, 70, 480), _logarithmic(losses))
    shares = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    _draw_panel(canvas, "validation", scores, _seconds(end, 570, 980), _Axis(0.0, 1.0, *_ROWS, ticks=shares))
    write_image(path, canvas)


def _seconds(end: float, first_px: int, last_px: int) -> _Axis:
    step = 10 ** math.floor(math.log10(end))
    step = next(step * share for share in (0.1, 0.2, 0.5, 1, 2) if end / (step * share) <= 6)
    return _Axis(0.0, end, first_px, last_px, [step * count for count in range(int(end / step) + 1)])


def _logarithmic(curves: Mapping[str, Curve]) -> _Axis:
    values = [max(value, _LEAST) for curve in curves.values() for _, value in curve] or [1.0]
    low, high = min(values) / 1.2, max(values) * 1.2
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [10.0**decade * digit for decade in decades for digit in (1, 2, 5)]
    return _Axis(low, high, *_ROWS, ticks=[tick for tick in ticks if low <= tick <= high], logarithmic=True)


def _draw_panel(
    canvas: NDArray[np.uint8], title: str, curves: Mapping[str, Curve], x: _Axis, y: _Axis
) -> None:
    _write(canvas, title, ((x.first_px + x.last_px) // 2, 56), anchor=0.5)
    for tick in x.ticks:
        column = round(x.px(tick))
        cv2.line(canvas, (column, y.first_px), (column, y.last_px), _GRID)
        _write(canvas, f"{tick:g}", (column, y.first_px + 18), anchor=0.5)
    for tick in y.ticks:
        row = round(y.px(tick))
        cv2.line(canvas, (x.first_px, row), (x.last_px, row), _GRID)
        _write(canvas, f"{tick:g}", (x.first_px - 8, row + 4), anchor=1.0)
    cv2.line(canvas, (x.first_px, y.first_px), (x.last_px, y.first_px), _INK)
    cv2.line(canvas, (x.first_px, y.first_px), (x.first_px, y.last_px), _INK)
    _write(canvas, "seconds", ((x.first_px + x.last_px) // 2, y.first_px + 40), anchor=0.5)
    # Losses fall and scores rise: the legend is in the corner that they leave free.
    legend = y.last_px + 14 if y.logarithmic else y.first_px + 8 - 18 * len(curves)
    for number, (name, curve) in enumerate(curves.items()):
        color = _COLORS[number % len(_COLORS)]
        points = np.array([(x.px(seconds), y.px(value)) for seconds, value in curve]).reshape(-1, 1, 2)
        places = (points * 2**_SUBPIXEL).round().astype(np.int32)
        cv2.polylines(canvas, [places], False, color, 2, cv2.LINE_AA, _SUBPIXEL)
        if len(curve) <= 10:
            for place in places[:, 0]:
                cv2.circle(canvas, place.tolist(), 4 * 2**_SUBPIXEL, color, -1, cv2.LINE_AA, _SUBPIXEL)
        row = legend + 18 * number
        cv2.line(canvas, (x.last_px - 100, row - 4), (x.last_px - 80, row - 4), color, 2, cv2.LINE_AA)
        _write(canvas, name, (x.last_px - 74, row))


def _write(
    canvas: NDArray[np.uint8], text: str, place: tuple[int, int], *, scale: float = 0.4, anchor: float = 0.0
) -> None:
    """Write a line of text; `anchor` 0 puts its left end at the place, 0.5 its middle, 1 its right end."""
    (width, _), _ = cv2.getTextSize(text, _FONT, scale, 1)
    x, y = place
    cv2.putText(canvas, text, (x - round(anchor * width), y), _FONT, scale, _INK, 1, cv2.LINE_AA)
