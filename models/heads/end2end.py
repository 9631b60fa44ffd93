"""End-to-end heads: YOLO26, YOLOv10, or any YOLO export with NMS in its graph."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgeloop.models.detections import Detections
from edgeloop.models.errors import ModelError

__all__ = ["decode", "end2end_rows"]


def decode(output: NDArray[np.floating], *, confidence: float) -> Detections:
    """Decode an end-to-end output: boxes in pixels of the model's input."""
    rows = end2end_rows(output)
    rows = rows[rows[:, 4] > confidence].astype(np.float32)
    return Detections(rows[:, :4], rows[:, 4], rows[:, 5].astype(np.int64))


def end2end_rows(output: NDArray[np.floating]) -> NDArray[np.floating]:
    """Read the rows of an end-to-end output: (K, 6) x1, y1, x2, y2, confidence, class.

    Args:
        output: (1, K, 6), these rows, unused ones with a confidence of 0 (Ultralytics); or (K, 7), image
            number, x1, y1, x2, y2, class, confidence (YOLOv7 with `--end2end`).

    Returns:
        The rows, in the order of the output.

    Raises:
        ModelError: The output has another shape.
    """
    if output.ndim == 3 and output.shape[0] == 1 and output.shape[2] == 6:
        rows: NDArray[np.floating] = output[0]
    elif output.ndim == 2 and output.shape[1] == 7:
        rows = output[:, [1, 2, 3, 4, 6, 5]]
    else:
        raise ModelError(f"end2end head: expected an output (1, K, 6) or (K, 7), got {output.shape}")
    return rows
