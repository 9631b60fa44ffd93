"""Images for the audit: a box with its surroundings, a frame with its labels."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.draw.annotate import annotate, color_of
from edgeloop.edge.draw.style import SHADOW
from edgeloop.edge.host.opencv import require_image
from edgeloop.labeling.audit.sample import SampledBox, SampledFrame
from edgeloop.models.detections import Detections

__all__ = ["render_box", "render_frame"]

_CONTEXT = 0.6  # of a box's longer side, on each side of it
_MIN_CROP_PX = 48  # a tiny object is recognized by its surroundings only
_FRAME_SIDE_PX = 1280  # small frames are enlarged, so that the text of labels fits


def render_box(box: SampledBox, side: int, *, drawn: bool = True) -> NDArray[np.uint8]:
    """Crop a box with its surroundings, and enlarge it: HxWx3 uint8 BGR, the longer side `side` px.

    The box is in the middle, unless it is near the edge of its image. If `drawn`, its line is outside of it,
    so that the object's edge shows.
    """
    image = require_image(box.path)
    x1, y1, x2, y2 = _crop(box, image.shape[1], image.shape[0])
    scale = side / max(x2 - x1, y2 - y1)
    picture = _scaled(image[y1:y2, x1:x2], scale)
    if drawn:
        _outline(picture, (np.array(box.xyxy) - (x1, y1, x1, y1)) * scale, box.class_id)
    return picture


def render_frame(
    frame: SampledFrame, names: tuple[str, ...], *, side: int | None = None, drawn: bool = True
) -> NDArray[np.uint8]:
    """Draw a frame, with its labels if `drawn`: HxWx3 uint8 BGR.

    The longer side is `side` px; for None it is the frame's own, but at least 1280 px.
    """
    longer = max(frame.width, frame.height)
    scale = (max(longer, _FRAME_SIDE_PX) if side is None else side) / longer
    picture = _scaled(require_image(frame.path), scale)
    if not drawn:
        return picture
    labels = Detections(frame.xyxy * np.float32(scale), np.ones(len(frame.xyxy), np.float32), frame.class_id)
    return annotate(picture, labels, names, confidence=False)


def _crop(box: SampledBox, width: int, height: int) -> tuple[int, int, int, int]:
    """Compute a square around the box, shifted into the image and cut if it is still too large, px."""
    x1, y1, x2, y2 = box.xyxy
    side = max(_MIN_CROP_PX, round(max(x2 - x1, y2 - y1) * (1 + 2 * _CONTEXT)))
    columns, rows = min(side, width), min(side, height)
    left = min(max(round((x1 + x2 - columns) / 2), 0), width - columns)
    top = min(max(round((y1 + y2 - rows) / 2), 0), height - rows)
    return left, top, left + columns, top + rows


def _scaled(image: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    how = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    return np.asarray(cv2.resize(image, size, interpolation=how), np.uint8)


def _outline(picture: NDArray[np.uint8], xyxy: NDArray[np.floating], class_id: int) -> None:
    line = max(1, round(max(picture.shape[:2]) / 240))
    x1, y1, x2, y2 = xyxy.round().astype(int).tolist()
    for away, color in ((2 * line, SHADOW), (line, color_of(class_id))):
        for step in range(away - line + 1, away + 1):
            corners = (x1 - step, y1 - step), (x2 - 1 + step, y2 - 1 + step)
            cv2.rectangle(picture, *corners, color, 1, cv2.LINE_8)
