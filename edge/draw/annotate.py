"""Annotation of images with detections, for people to read.

Line width and text grow with the image. A box is a line in the color of its class between two dark ones, so
that it is visible on any background; so is the outline of a mask, whose pixels are tinted. Labels are drawn
after all boxes, so that no line crosses a text. The most confident comes first; each takes the first position
at its box at which it covers no other label.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.draw.style import SHADOW, side_of, text_scale
from edgeloop.edge.draw.text import put_text, text_size
from edgeloop.models.detections import Detections
from edgeloop.models.masks import Masks

if TYPE_CHECKING:
    from edgeloop.edge.tracking import ZoneCounter

__all__ = ["annotate", "color_of"]

Color = tuple[int, int, int]
Rect = tuple[int, int, int, int]

PALETTE: tuple[Color, ...] = (
    (255, 144, 30),
    (60, 76, 231),
    (113, 204, 46),
    (18, 196, 241),
    (212, 92, 176),
    (190, 188, 23),
    (34, 126, 240),
    (180, 105, 255),
    (80, 127, 22),
    (240, 207, 137),
)
"""BGR. Neighbors differ in hue and in lightness, which matters most for models of few classes."""


_TINT = 0.45
"""Share of the color of its class in the pixels of a mask."""


@dataclass(frozen=True)
class _Style:
    """Sizes in pixels, in proportion to the image."""

    line: int
    text_scale: float
    padding: int

    @classmethod
    def fit(cls, shape: tuple[int, ...]) -> _Style:
        side = side_of(shape)
        return cls(max(2, round(side / 320)), text_scale(shape), max(3, round(side / 160)))


def annotate(
    image: NDArray[np.uint8],
    detections: Detections,
    names: Sequence[str],
    *,
    confidence: bool = True,
    zones: ZoneCounter | None = None,
) -> NDArray[np.uint8]:
    """Draw detections on a copy of an image.

    Args:
        image: HxWx3 uint8, BGR; left as it is.
        detections: Boxes, and masks if there are some, in pixels of this image.
        names: Class names, indexed by `detections.class_id`.
        confidence: Write the confidence beside the name.
        zones: Zones and lines to draw under the boxes; None for none.

    Returns:
        HxWx3 uint8, BGR.
    """
    canvas = image.copy()
    taken: list[Rect] = []
    if zones is not None:
        from edgeloop.edge.draw.zones import draw_zones  # loads pydantic, which nothing else here needs

        taken = draw_zones(canvas, zones)
    style = _Style.fit(canvas.shape)
    boxes: list[Rect] = [(x1, y1, x2, y2) for x1, y1, x2, y2 in detections.xyxy.round().astype(int).tolist()]
    # Large boxes first, so that a small object in front of a large one keeps its outline.
    order = sorted(range(len(boxes)), key=lambda row: -_area(boxes[row]))
    colors = [color_of(int(detections.class_id[row])) for row in order]
    if detections.masks is not None:
        _draw_masks(canvas, detections.masks[order], colors)
    # Beside an outline, the box needs less ink.
    line = style.line if detections.masks is None else max(1, style.line // 2)
    for row, color in zip(order, colors, strict=True):
        _draw_box(canvas, boxes[row], color, line)
    for row in sorted(order, key=lambda row: -detections.confidence[row]):
        text = _caption(detections, row, names, confidence)
        _draw_label(canvas, boxes[row], text, color_of(int(detections.class_id[row])), style, taken)
    return canvas


def color_of(class_id: int) -> Color:
    """Color of a class: blue, green, red in [0, 255]."""
    return PALETTE[class_id % len(PALETTE)]


def _caption(detections: Detections, row: int, names: Sequence[str], confidence: bool) -> str:
    text = names[detections.class_id[row]]
    if confidence:
        text += f" {detections.confidence[row]:.0%}"
    tracker_id = -1 if detections.tracker_id is None else detections.tracker_id[row]
    return text if tracker_id < 0 else f"#{tracker_id} {text}"


def _draw_masks(canvas: NDArray[np.uint8], masks: Masks, colors: Sequence[Color]) -> None:
    """Tint masks in their order, and draw the outlines over them."""
    for window, (left, top), color in zip(masks.windows, masks.corners.tolist(), colors, strict=True):
        if window.size:
            part = canvas[top : top + window.shape[0], left : left + window.shape[1]]
            cv2.copyTo(cv2.LUT(part, _tint(color)), window.view(np.uint8), part)
    for polygons, color in zip(masks.outlines(), colors, strict=True):
        points = [polygon.astype(np.int32) for polygon in polygons]
        cv2.polylines(canvas, points, True, SHADOW, 3, cv2.LINE_8)
        cv2.polylines(canvas, points, True, color, 1, cv2.LINE_8)


def _tint(color: Color) -> NDArray[np.uint8]:
    """Table of the tinted values of each channel, (256, 1, 3)."""
    values = np.arange(256)[:, None, None] * (1 - _TINT) + np.array(color) * _TINT
    return values.round().astype(np.uint8)


def _draw_box(canvas: NDArray[np.uint8], box: Rect, color: Color, line: int) -> None:
    corners = (box[0], box[1]), (box[2], box[3])
    cv2.rectangle(canvas, *corners, SHADOW, line + 2, cv2.LINE_8)
    cv2.rectangle(canvas, *corners, color, line, cv2.LINE_8)


def _draw_label(
    canvas: NDArray[np.uint8], box: Rect, text: str, color: Color, style: _Style, taken: list[Rect]
) -> None:
    """Draw one label and add its position to those taken. Without a free position, draw none."""
    (text_width, text_height), descent = text_size(text, style.text_scale)
    size = text_width + 2 * style.padding, text_height + descent + style.padding
    positions = _label_positions(box, size, style.line // 2, canvas.shape)
    chip = next((rect for rect in positions if not any(_overlap(rect, other) for other in taken)), None)
    if chip is None:
        return
    taken.append(chip)
    cv2.rectangle(canvas, chip[:2], (chip[2] - 1, chip[3] - 1), color, cv2.FILLED)
    baseline = chip[0] + style.padding, chip[1] + style.padding // 2 + text_height
    text_color = (0, 0, 0) if _luma(color) > 120 else (255, 255, 255)
    put_text(canvas, text, baseline, style.text_scale, text_color)


def _label_positions(box: Rect, size: tuple[int, int], edge: int, shape: tuple[int, ...]) -> list[Rect]:
    """Positions of a label within the image, best first: above its box, in it if it is large, below it."""
    x1, y1, x2, y2 = box
    width, height = size
    left, right = x1 - edge, x2 + edge - width
    above, below = y1 - edge - height, y2 + edge
    roomy = y2 - y1 >= 3 * height and x2 - x1 >= width
    inside = [(x1 + edge, y1 + edge)] if roomy else []
    corners = [(left, above), *inside, (left, below), (right, above), (right, below)]
    x_max, y_max = max(0, shape[1] - width), max(0, shape[0] - height)
    held = [(min(max(x, 0), x_max), y) for x, y in corners if 0 <= y <= y_max]
    return [(x, y, x + width, y + height) for x, y in held]


def _overlap(a: Rect, b: Rect) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _area(box: Rect) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])


def _luma(color: Color) -> float:
    blue, green, red = color
    return 0.114 * blue + 0.587 * green + 0.299 * red
