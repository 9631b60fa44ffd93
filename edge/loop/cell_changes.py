"""Cells of the picture of a fixed camera: changes in them, what is usual there, and what boxes cover.

The cells divide a small gray picture, so that a small object is not lost in the mean of a large picture.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["CELL_PX", "VISIBLE", "change_energy", "cover_cells", "learn_usual", "shrink_to_cells"]

CELLS, CELL_PX = 40, 8
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
    scale = CELLS / max(height, width)
    size = [max(round(side * scale), 1) * CELL_PX for side in (width, height)]
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
    cells = (width // CELL_PX, height // CELL_PX)
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


def cover_cells(
    boxes_src: NDArray[np.float32], size: tuple[int, int], cells: tuple[int, int], *, grown: float
) -> NDArray[np.bool_]:
    """Mark the cells that boxes touch.

    Args:
        boxes_src: float32 (N, 4) xyxy in pixels of the image.
        size: Width and height of the image, px.
        cells: Rows and columns of cells.
        grown: Factor by which boxes grow around their center first; below 1 they shrink.

    Returns:
        bool (rows, columns), True if a box touches the cell. A box touches at least one.
    """
    rows, columns = cells
    per_cell = np.array([size[0] / columns, size[1] / rows], np.float32)
    center = (boxes_src[:, :2] + boxes_src[:, 2:]) / 2
    half = (boxes_src[:, 2:] - boxes_src[:, :2]) * np.float32(grown / 2)
    last = np.array([columns - 1, rows - 1], np.float32)
    near = np.clip(np.floor((center - half) / per_cell), 0, last)
    far = np.clip(np.ceil((center + half) / per_cell) - 1, near, last)
    # One product of matrices instead of a loop over boxes: a cell is covered if a box has its row and column.
    in_columns = (np.arange(columns) >= near[:, :1]) & (np.arange(columns) <= far[:, :1])
    in_rows = (np.arange(rows) >= near[:, 1:]) & (np.arange(rows) <= far[:, 1:])
    return np.asarray(in_rows.T.astype(np.float32) @ in_columns.astype(np.float32) > 0, np.bool_)
