"""The head of FastestDet: one grid, one box a cell."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgeloop.models.boxes import cxcywh_to_xyxy
from edgeloop.models.detections import Detections
from edgeloop.models.errors import ModelError

__all__ = ["decode", "grid_shape"]

_STRIDE = 16


def grid_shape(input_size: tuple[int, int]) -> tuple[int, int]:
    """Size of the grid.

    Args:
        input_size: (width, height) of the model's input in pixels.

    Returns:
        Number of its rows and columns.
    """
    width, height = input_size
    return height // _STRIDE, width // _STRIDE


def decode(output: NDArray[np.floating], *, input_size: tuple[int, int], confidence: float) -> Detections:
    """Read the grid.

    Args:
        output: (1, 5 + classes, H / 16, W / 16): objectness in [0, 1], centre x, centre y before tanh as
            offsets from the cell in strides, width, height before the sigmoid as shares of the input, and one
            score in [0, 1] a class.
        input_size: (width, height) of the model's input in pixels.
        confidence: objectness to the power of 0.6 times the best class score to that of 0.4 must exceed this.

    Returns:
        Detections in pixels of the model's input, in no order, before NMS.

    Raises:
        ModelError: the output has another shape.
    """
    width, height = input_size
    rows, columns = grid_shape(input_size)
    if output.ndim != 4 or output.shape[0] != 1 or output.shape[1] < 6 or output.shape[2:] != (rows, columns):
        raise ModelError(
            f"fastestdet head: expected an output (1, 5 + classes, {rows}, {columns}), got {output.shape}"
        )
    cells = output[0].reshape(output.shape[1], -1).astype(np.float32)
    score = cells[0] ** 0.6 * cells[5:].max(axis=0) ** 0.4
    sure = np.flatnonzero(score > confidence)
    found = cells[:, sure]
    cell = np.stack((sure % columns, sure // columns))
    centre = (cell + np.tanh(found[1:3])) * _STRIDE
    size = np.array([[width], [height]]) / (1 + np.exp(-found[3:5]))
    xyxy = cxcywh_to_xyxy(np.concatenate((centre, size)).T)
    return Detections(xyxy, score[sure], found[5:].argmax(axis=0))
