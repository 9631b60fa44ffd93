"""Frames of a made-up scene whose detections a test decides, and the signs of doubt about them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.doubt.neighborhood import NEIGHBORS_S, Neighborhood, TemporalSign
from edgeloop.models.detections import Detections

WIDTH, HEIGHT = 320, 240
PLAIN = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)


def boxes(
    *places: tuple[float, float], side: float = 30, score: float = 0.9, class_id: int = 0
) -> Detections:
    """Detections of squares, each given by its upper left corner."""
    xyxy = np.array([[x, y, x + side, y + side] for x, y in places], np.float32).reshape(-1, 4)
    count = len(places)
    return Detections(xyxy, np.full(count, score, np.float32), np.full(count, class_id, np.int64))


def with_ids(found: Detections, *ids: int) -> Detections:
    """The same boxes with the ids of a tracker."""
    return Detections(found.xyxy, found.confidence, found.class_id, np.array(ids, np.int64))


NOTHING = boxes()


def judge_all(
    sign: TemporalSign,
    frames: Sequence[Detections],
    *,
    fps: float = 10.0,
    images: Sequence[NDArray[np.uint8]] | None = None,
    start_s: float = 0.0,
) -> list[float | None]:
    """Values of a sign for consecutive frames of a camera."""
    values = []
    near = 1 / fps <= NEIGHBORS_S
    for index, found in enumerate(frames):
        before, after = near and index > 0, near and index + 1 < len(frames)
        around = Neighborhood(
            images[index] if images is not None else PLAIN,
            found,
            start_s + index / fps,
            before=frames[index - 1] if before else None,
            after=frames[index + 1] if after else None,
            before_s=1 / fps if before else 0.0,
            after_s=1 / fps if after else 0.0,
        )
        value = sign.judge(around)
        assert value is None or 0 <= value <= 1
        values.append(value)
    return values


def known(values: Sequence[float | None]) -> list[float]:
    """Values without those that are unknown, each of which becomes NaN, which no comparison holds for."""
    return [math.nan if value is None else value for value in values]
