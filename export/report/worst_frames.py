"""Picture of the frames on which a bundle and torch disagree most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.draw.annotate import annotate
from edgeloop.edge.draw.text import put_text
from edgeloop.export.check.measure import Measurement, Reference
from edgeloop.export.check.parity import SURE, disagreement
from edgeloop.models.detections import Detections
from edgeloop.models.errors import EdgeloopError

__all__ = ["draw_worst"]

_ROWS, _WIDTH, _CAPTION = 4, 640, 26


def draw_worst(reference: Reference, measurement: Measurement, names: Sequence[str], path: Path) -> None:
    """Draw the frames with the largest disagreement: torch on the left, the bundle on the right.

    Raises:
        UnavailableError: The file cannot be written.
    """
    pairs = list(zip(reference.found, measurement.found, strict=True))
    apart = [disagreement([expected], [actual]) for expected, actual in pairs]
    worst = sorted(range(len(apart)), key=lambda number: -apart[number])[:_ROWS]
    rows = []
    for number in worst:
        image, title = reference.images[number].read(), reference.images[number].path.name
        sides = [
            _panel(image, found, names, f"{who}: {title}")
            for who, found in zip(("torch", measurement.precision), pairs[number], strict=True)
        ]
        rows.append(np.hstack(sides))
    done, data = cv2.imencode(".jpg", np.vstack(rows), [cv2.IMWRITE_JPEG_QUALITY, 88])
    if not done:
        raise EdgeloopError(f"{path}: OpenCV cannot encode the picture")
    path.write_bytes(data.tobytes())


def _panel(
    image: NDArray[np.uint8], found: Detections, names: Sequence[str], title: str
) -> NDArray[np.uint8]:
    """Draw one frame with its boxes at a common width, under a line of text."""
    scale = _WIDTH / image.shape[1]
    small = cv2.resize(image, (_WIDTH, round(image.shape[0] * scale)), interpolation=cv2.INTER_AREA)
    sure = found[found.confidence >= SURE]
    masks = None if sure.masks is None else sure.masks.scaled((small.shape[1], small.shape[0]))
    shown = replace(sure, xyxy=sure.xyxy * np.float32(scale), masks=masks)
    caption = np.full((_CAPTION, _WIDTH, 3), 32, np.uint8)
    put_text(caption, title, (8, 18), 0.45, (235, 235, 235))
    return np.vstack((caption, annotate(small, shown, names)))
