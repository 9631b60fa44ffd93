"""Cells of the picture of a fixed camera: changes in them, and what is usual there.

The cells divide a small gray picture, so that a small object is not lost in the mean of a large picture.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["VISIBLE", "change_energy", "learn_usual", "shrink_to_cells"]

_CELLS, _CELL_PX = 40, 8
"""Cells along the longer side, and the side of a cell in pixels of the small picture."""

VISIBLE = 64.0
"""Lowest energy in squared gray levels at which something changed: that of an object that differs by a
sixteenth of the range of brightness in a quarter of a cell, an eightieth of the picture's width. Detectors
find hardly any that are smaller or fainter."""


def shrink_to_cells(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Make the small gray picture, of whole cells. Few pixels are read, and four of them averaged.

    Args:
        image: HxWx3 uint8 BGR.

    Returns:
        float32 (8 * rows, 8 * columns), gray levels; 40 cells along the longer side.
    """
    height, width = image.shape[:2]
    scale = _CELLS / max(height, width)
    size = [max(round(side * scale), 1) * _CELL_PX for side in (width, height)]
    sampled = cv2.resize(image, [2 * side for side in size], interpolation=cv2.INTER_LINEAR)
    small = cv2.resize(cv2.cvtColor(sampled, cv2.COLOR_BGR2GRAY), size, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32)


def change_energy(difference: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean squared difference of each cell, without what all cells have in common, such as the exposure.

    Args:
        difference: Difference of two small pictures, gray levels.

    Returns:
        float32 (rows, columns), squared gray levels.
    """
    height, width = difference.shape
    cells = (width // _CELL_PX, height // _CELL_PX)
    mean = cv2.resize(difference, cells, interpolation=cv2.INTER_AREA)
    squares = cv2.resize(difference * difference, cells, interpolation=cv2.INTER_AREA)
    common = np.float32(np.median(mean))
    return np.asarray(squares - 2 * common * mean + common * common, np.float32)


def learn_usual(
    usual: NDArray[np.float32], energy: NDArray[np.float32], *, step: float, quantile: float, lowest: float
) -> None:
    """Move the usual energy of each cell towards a quantile of its energies.

    Args:
        usual: float32 (rows, columns), changed in place.
        energy: Energy of each cell now.
        step: Logarithm of the largest factor by which it may grow now, over `quantile`.
        quantile: Quantile that it tends to, in [0, 1]. Higher values take more of what moves as usual.
        lowest: Lowest usual energy.
    """
    steps = np.where(energy > usual, np.float32(step * quantile), np.float32(step * (quantile - 1)))
    np.maximum(usual * np.exp(steps), lowest, out=usual)
