"""Prompts at the foreground of a fixed camera."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeloop.labeling.candidates.prompts import Prompts
from edgeloop.labeling.motion.background import Background

__all__ = ["motion_prompts"]

_LEAST_AREA = 1e-4  # of the frame: 6 x 6 px of 768 x 432
_LEAST_RADIUS = 0.004  # of the frame's longer side: 3 px of 768
_APART = 1.5  # radii of the disc that fits around a point, to the next point: discs that touch are 2 apart
_MOST_BOXES, _MOST_POINTS = 60, 16  # with 60 points labels were no better and took twice as long


def motion_prompts(image: NDArray[np.uint8], background: Background) -> tuple[Prompts, Prompts]:
    """Find prompts in a frame, HxWx3 uint8 BGR, none if it changed as a whole.

    Returns:
        Boxes around regions that changed, and points inside them: things that touch make one region.
    """
    changed = background.compare(image).mask.astype(np.uint8)
    return Prompts("motion", _boxes(changed)), Prompts("motion", _points(changed))


def _boxes(changed: NDArray[np.uint8]) -> NDArray[np.float32]:
    """float32 (N, 4) around connected regions, the largest first."""
    _, _, stats, _ = cv2.connectedComponentsWithStats(changed, connectivity=8)
    regions = stats[1:][stats[1:, cv2.CC_STAT_AREA] >= _LEAST_AREA * changed.size]
    regions = regions[np.argsort(-regions[:, cv2.CC_STAT_AREA], kind="stable")][:_MOST_BOXES]
    corner = regions[:, : cv2.CC_STAT_WIDTH]
    sides = regions[:, cv2.CC_STAT_WIDTH : cv2.CC_STAT_AREA]
    return np.concatenate((corner, corner + sides), axis=1).astype(np.float32)


def _points(changed: NDArray[np.uint8]) -> NDArray[np.float32]:
    """float32 (N, 2), centers of the largest discs that fit into the regions."""
    inside = cv2.distanceTransform(changed, cv2.DIST_L2, cv2.DIST_MASK_5)
    points: list[tuple[float, float]] = []
    while len(points) < _MOST_POINTS:
        _, radius, _, (x, y) = cv2.minMaxLoc(inside)
        if radius < _LEAST_RADIUS * max(changed.shape):
            break
        points.append((x, y))
        cv2.circle(inside, (x, y), round(_APART * radius), 0.0, cv2.FILLED)
    return np.array(points, np.float32).reshape(-1, 2)
