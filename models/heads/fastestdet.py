"""FastestDet head: one grid, one box per cell."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgeloop.models.boxes import cxcywh_to_xyxy
from edgeloop.models.detections import Detections
from edgeloop.models.errors import ModelError

__all__ = ["decode", "grid_shape"]

_STRIDE = 16


def grid_shape(input_size: tuple[int, int]) -> tuple[int, int]:
    """Compute the rows and columns of the grid for an input (width, height) in pixels."""
    width, height = input_size
    return height // _STRIDE, width // _STRIDE


def decode(output: NDArray[np.floating], *, input_size: tuple[int, int], confidence: float) -> Detections:
    """Decode a FastestDet output.

    (1, 5 + classes, H / 16, W / 16): objectness in [0, 1], center x, center y before tanh as offsets from the
    cell in strides, width, height before the sigmoid as shares of the input, and one score in [0, 1] per
    class. The score of a box is objectness ** 0.6 * best class score ** 0.4.
    """
    width, height = input_size
    rows, columns = grid_shape(input_size)
    if output.ndim != 4 or output.shape[0] != 1 or output.shape[1] < 6 or output.shape[2:] != (rows, columns):
        raise ModelError(
            f"fastestdet head: expected an output (1, 5 + classes, {rows}, {columns}), got {output.shape}"
        )
    cells = output[0].reshape(output.shape[1], -1).astype(np.float32)
    score = cells[0] ** 0.6 * cells[5:].max(axis=0) ** 0.4
    candidates = np.flatnonzero(score > confidence)
    found = cells[:, candidates]
    cell = np.stack((candidates % columns, candidates // columns))
    center = (cell + np.tanh(found[1:3])) * _STRIDE
    size = np.array([[width], [height]]) / (1 + np.exp(-found[3:5]))
    xyxy = cxcywh_to_xyxy(np.concatenate((center, size)).T)
    return Detections(xyxy, score[candidates], found[5:].argmax(axis=0))
