"""Smoothing of boxes along their tracks, by local linear regression over +-4 frames.

Over a few frames each side of a box moves evenly. So it is laid on a straight line through where that side is
seen before and after, in which a sighting counts by its score and by how near it is: local regression
(Cleveland, 1979).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgeloop.labeling.tracks.link import REACH, Sighting
from edgeloop.models.boxes import clip_boxes

__all__ = ["smooth_box"]

_BORDER_PX = 2.0  # a side as near to the frame's border is where the frame ends, not the object
_LEAST_SIDE_PX = 1.0


def smooth_box(around: Sequence[Sighting], frame: int, size: tuple[int, int]) -> NDArray[np.float32]:
    """Estimate the box of an object in a frame.

    Args:
        around: Its sightings in frames that have a say, at least one.
        frame: Number of the frame; the object may be missing there.
        size: Width and height of the frames, px.

    Returns:
        float32 (4,) xyxy, pixels of the frame and inside it. A side that the border cuts in this frame stays
        where it is.
    """
    boxes = np.array([sighting.label.xyxy for sighting in around], np.float64)
    away = np.array([sighting.frame - frame for sighting in around], np.float64)
    scores = np.array([sighting.label.score for sighting in around])
    weights = (scores * (1 - np.abs(away) / (REACH + 1)))[:, None]
    cut = np.abs(boxes - (0, 0, *size)) <= _BORDER_PX
    sides = np.where(cut.all(axis=0), boxes.mean(axis=0), _on_lines(away, boxes, weights * ~cut))
    nearest = int(np.abs(away).argmin())
    if away[nearest] == 0:
        sides = np.where(cut[nearest], boxes[nearest], sides)
    box = clip_boxes(sides[None].astype(np.float32), *size)[0]
    sound = (box[2:] - box[:2]).min() >= _LEAST_SIDE_PX
    return np.asarray(box if sound else boxes[nearest], np.float32)


def _on_lines(
    away: NDArray[np.float64], sides: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Values at 0 of the weighted least squares lines through (N,) and each column of (N, 4)."""
    total = np.maximum(weights.sum(axis=0), np.finfo(np.float64).tiny)
    when, where = (weights * away[:, None]).sum(axis=0) / total, (weights * sides).sum(axis=0) / total
    apart = away[:, None] - when
    spread = (weights * apart**2).sum(axis=0)
    covariance = (weights * apart * (sides - where)).sum(axis=0)
    slope = np.divide(covariance, spread, out=np.zeros(4), where=spread > np.finfo(np.float32).eps * total)
    return np.asarray(where - slope * when)
