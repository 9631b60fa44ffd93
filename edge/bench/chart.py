"""A report of `edgeloop bench` as a picture: rows of bars, drawn with OpenCV."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.draw.style import FONT

if TYPE_CHECKING:
    from edgeloop.edge.bench.benchmark import BenchReport

__all__ = ["draw_report"]

_WIDTH, _ROW, _LABELS, _MARGIN = 960, 34, 250, 24
_INK, _GREY, _OURS, _THEIRS = (40, 40, 40), (110, 110, 110), (190, 120, 30), (150, 150, 150)

Bar = tuple[str, float, str, tuple[int, int, int]]


def draw_report(report: BenchReport) -> NDArray[np.uint8]:
    """Draw the figures of a report.

    Args:
        report: From `edgeloop.edge.bench.benchmark.bench`.

    Returns:
        HxWx3 uint8 BGR, 960 pixels wide: each figure a bar, as long as its share of the longest beside it.
    """
    panels = list(_panels(report))
    rows = 2 + sum(len(bars) + 2 for _, bars in panels)
    canvas = np.full((rows * _ROW + _MARGIN, _WIDTH, 3), 255, np.uint8)
    title = f"{report.model.rpartition('/')[2]} on {report.provider}: the loop keeps {report.ratio:.1%}"
    _text(canvas, title, _MARGIN, _ROW + 6, _INK, 0.75)
    top = 2 * _ROW
    for heading, bars in panels:
        _text(canvas, heading, _MARGIN, top + _ROW - 10, _GREY, 0.55)
        top = _bars(canvas, bars, top + _ROW) + _ROW
    return canvas


def _panels(report: BenchReport) -> Iterator[tuple[str, Sequence[Bar]]]:
    rates = (("bare model", report.model_fps), ("loop", report.loop_fps))
    yield "frames a second", [(name, fps, f"{fps:.1f}", _OURS) for name, fps in rates]
    stages = report.stages_ms.items()
    yield "milliseconds a frame", [(stage, spent, f"{spent:.2f}", _OURS) for stage, spent in stages]
    if report.against is None:
        return
    ours, theirs, peer = report.against.ours, report.against.theirs, report.against.peer
    for heading, mine, other, unit in (
        ("in new processes: frames a second", ours.fps, theirs.fps, ""),
        ("first detection", ours.first_detection_s, theirs.first_detection_s, " s"),
        ("peak memory", ours.peak_memory_mb, theirs.peak_memory_mb, " MB"),
    ):
        digits = 0 if unit == " MB" else 2
        yield (
            heading,
            [
                ("edgeloop", mine, f"{mine:.{digits}f}{unit}", _OURS),
                (peer, other, f"{other:.{digits}f}{unit}", _THEIRS),
            ],
        )


def _bars(canvas: NDArray[np.uint8], bars: Sequence[Bar], top: int) -> int:
    """Draw rows of bars, and say where they end."""
    longest = max(value for _, value, _, _ in bars) or 1.0
    room = _WIDTH - _LABELS - _MARGIN - 130
    for name, value, figure, color in bars:
        right = _LABELS + max(1, round(room * value / longest))
        cv2.rectangle(canvas, (_LABELS, top + 6), (right, top + _ROW - 6), color, cv2.FILLED)
        _text(canvas, name, _MARGIN + 16, top + _ROW - 11, _INK, 0.55)
        _text(canvas, figure, right + 10, top + _ROW - 11, _INK, 0.55)
        top += _ROW
    return top


def _text(
    canvas: NDArray[np.uint8], text: str, x: int, y: int, color: tuple[int, int, int], size: float
) -> None:
    cv2.putText(canvas, text, (x, y), FONT, size, color, 1, cv2.LINE_AA)
