"""Annotation of images with zones, lines and their counts."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.draw.style import SHADOW, side_of, text_scale
from edgeloop.edge.draw.text import put_text, text_size
from edgeloop.edge.tracking.counter import ZoneCounter
from edgeloop.edge.tracking.zone_file import Line, Zone

__all__ = ["draw_zones"]

Rect = tuple[int, int, int, int]

ZONE_COLOR = (80, 230, 255)
"""BGR; no class has this color."""

ARROW = 0.04
"""Length of the arrow that points to `in`, as a share of `side_of` the image."""


def draw_zones(canvas: NDArray[np.uint8], counter: ZoneCounter) -> list[Rect]:
    """Draw zones and lines with their counts into an image.

    Args:
        canvas: HxWx3 uint8, BGR, of the size that the zones were made for; drawn into.
        counter: Zones, lines and counts.

    Returns:
        Rectangles of the texts, which labels of boxes should not cover.
    """
    zones, lines = counter.zone_totals(), counter.line_totals()
    texts = []
    for zone in counter.zones.zones:
        totals = zones[zone.name].values()
        inside, entered = sum(t.inside for t in totals), sum(t.entered for t in totals)
        texts.append(_draw_zone(canvas, zone, f"{zone.name}: {inside} inside, {entered} entered"))
    for line in counter.zones.lines:
        crossed = lines[line.name].values()
        ins, outs = sum(c["in"] for c in crossed), sum(c["out"] for c in crossed)
        texts.append(_draw_line(canvas, line, f"{line.name}: {ins} in, {outs} out"))
    return texts


def _draw_zone(canvas: NDArray[np.uint8], zone: Zone, text: str) -> Rect:
    corners = np.array(zone.polygon).round().astype(np.int32)
    width = _width(canvas)
    for color, thickness in ((SHADOW, width + 2), (ZONE_COLOR, width)):
        cv2.polylines(canvas, [corners], True, color, thickness, cv2.LINE_AA)
    return _write(canvas, text, corners[corners[:, 1].argmin()])


def _draw_line(canvas: NDArray[np.uint8], line: Line, text: str) -> Rect:
    start, end = np.array(line.start), np.array(line.end)
    along = (end - start) / np.linalg.norm(end - start)
    middle = (start + end) / 2
    tip = middle + ARROW * side_of(canvas.shape) * np.array([-along[1], along[0]])
    width = _width(canvas)
    for color, thickness in ((SHADOW, width + 2), (ZONE_COLOR, width)):
        cv2.line(canvas, _pixel(start), _pixel(end), color, thickness, cv2.LINE_AA)
        cv2.arrowedLine(canvas, _pixel(middle), _pixel(tip), color, thickness, cv2.LINE_AA, tipLength=0.4)
    return _write(canvas, text, start)


def _write(canvas: NDArray[np.uint8], text: str, at: NDArray[np.generic]) -> Rect:
    """Write above a point, within the image. Returns the rectangle of the text."""
    scale = text_scale(canvas.shape)
    (width, height), descent = text_size(text, scale)
    shadow = 2  # its width beyond the text
    x = max(shadow, min(int(at[0]), canvas.shape[1] - width - shadow))
    y = max(height, min(int(at[1]) - descent - _width(canvas), canvas.shape[0] - descent))
    for color, thickness in ((SHADOW, 3), (ZONE_COLOR, 1)):
        put_text(canvas, text, (x, y), scale, color, thickness)
    return x, y - height, x + width, y + descent


def _pixel(point: NDArray[np.floating]) -> tuple[int, int]:
    return round(float(point[0])), round(float(point[1]))


def _width(canvas: NDArray[np.uint8]) -> int:
    return max(1, round(side_of(canvas.shape) / 480))
