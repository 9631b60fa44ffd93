"""Footprints: the points where objects touch the ground."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgeloop.models.detections import Detections

__all__ = ["footprints"]

_LOWEST = 0.05
"""Share of the height of a mask that counts as its foot."""


def footprints(detections: Detections) -> NDArray[np.float64]:
    """Find where objects touch the ground.

    Args:
        detections: Detections in pixels of the frame.

    Returns:
        float64 (N, 2) x, y in pixels of the frame: the middle of the lowest 5 % of the rows of the mask, and
        its lower edge. Without masks, or of a mask without pixels, the bottom center of the box.
    """
    x1, _, x2, y2 = detections.xyxy.astype(np.float64).T
    points = np.stack(((x1 + x2) / 2, y2), axis=1)
    if detections.masks is None:
        return points
    masks = detections.masks
    for row, (window, (left, top)) in enumerate(zip(masks.windows, masks.corners.tolist(), strict=True)):
        lines = np.flatnonzero(window.any(axis=1))
        if len(lines):
            first, last = int(lines[0]), int(lines[-1])
            foot = max(round(_LOWEST * (last + 1 - first)), 1)
            columns = window[last + 1 - foot : last + 1].nonzero()[1]
            points[row] = left + columns.mean() + 0.5, top + last + 1
    return points
