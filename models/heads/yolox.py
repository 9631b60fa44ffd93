"""Raw YOLOX head, exported without `--decode_in_inference`: boxes relative to their grid cells."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from edgeloop.models.boxes import cxcywh_to_xyxy
from edgeloop.models.detections import Detections
from edgeloop.models.errors import ModelError

__all__ = ["STRIDES", "cell_count", "decode"]

STRIDES = (8, 16, 32)


def cell_count(input_size: tuple[int, int], strides: Sequence[int] = STRIDES) -> int:
    """Count the cells of all strides, which are the rows of the output: 3549 at 416 x 416."""
    width, height = input_size
    return sum((width // stride) * (height // stride) for stride in strides)


def decode(output: NDArray[np.floating], *, input_size: tuple[int, int], confidence: float) -> Detections:
    """Decode a raw YOLOX output.

    (1, N, 5 + classes), the cells of strides 8, 16 and 32 row by row: center x, center y as offsets from the
    cell in strides, log width, log height in strides, objectness and one score per class, both in [0, 1]. The
    score of a box is objectness times the best class score.
    """
    cells = cell_count(input_size)
    if output.ndim != 3 or output.shape[:2] != (1, cells) or output.shape[2] < 6:
        raise ModelError(f"yolox head: expected an output (1, {cells}, 5 + classes), got {output.shape}")
    # No class score exceeds 1, so cells with too low an objectness need no class scores.
    candidates = np.flatnonzero(output[0, :, 4] > confidence)
    rows = output[0, candidates].astype(np.float32)
    scores = rows[:, 5:] * rows[:, 4:5]
    class_id, best_score = scores.argmax(axis=1), scores.max(axis=1)
    cell_xy, cell_stride = _grid(input_size)
    stride = cell_stride[candidates]
    cxcywh = np.concatenate(
        ((rows[:, :2] + cell_xy[candidates]) * stride, np.exp(rows[:, 2:4]) * stride), axis=1
    )
    confident = best_score > confidence
    return Detections(cxcywh_to_xyxy(cxcywh[confident]), best_score[confident], class_id[confident])


@lru_cache(maxsize=8)
def _grid(input_size: tuple[int, int]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Column and row of every cell, float32 (N, 2), and its stride in pixels, float32 (N, 1)."""
    width, height = input_size
    shapes = [(height // stride, width // stride) for stride in STRIDES]
    cells = np.concatenate([np.argwhere(np.ones(shape))[:, ::-1] for shape in shapes])
    strides = np.repeat(STRIDES, [rows * columns for rows, columns in shapes])[:, None]
    return cells.astype(np.float32), strides.astype(np.float32)
