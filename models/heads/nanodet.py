"""NanoDet head (generalized focal loss): box sides as distributions of distances."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgeloop.models.detections import Detections
from edgeloop.models.errors import ModelError
from edgeloop.models.heads.yolox import STRIDES

__all__ = ["decode", "output_shapes"]

_BINS = 8  # a side is 0 to 7 strides from the middle of its cell


def output_shapes(input_size: tuple[int, int], classes: int) -> list[tuple[int, int, int]]:
    """Compute the shapes of the six outputs: scores at strides 8, 16 and 32, then sides."""
    width, height = input_size
    cells = [(width // stride) * (height // stride) for stride in STRIDES]
    return [(1, count, last) for last in (classes, 4 * _BINS) for count in cells]


def decode(
    outputs: Sequence[NDArray[np.floating]], *, input_size: tuple[int, int], confidence: float
) -> Detections:
    """Decode the six outputs of NanoDet.

    Scores (1, cells, classes) in [0, 1] at strides 8, 16 and 32, cells row by row; then sides (1, cells, 32)
    at each: 8 logits of the distances 0 to 7 strides from the middle of the cell for left, top, right and
    bottom.
    """
    got = [output.shape for output in outputs]
    expected = output_shapes(input_size, classes=got[0][-1] if got and got[0] else 0)
    if got != expected:
        raise ModelError(f"nanodet head: expected outputs {expected}, got {got}")
    levels = [
        _level(scores[0], sides[0], input_size[0] // stride, stride, confidence)
        for scores, sides, stride in zip(outputs[:3], outputs[3:], STRIDES, strict=True)
    ]
    xyxy, score, class_id = (np.concatenate(parts) for parts in zip(*levels, strict=True))
    return Detections(xyxy, score, class_id)


def _level(
    scores: NDArray[np.floating], sides: NDArray[np.floating], columns: int, stride: int, confidence: float
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
    """Boxes xyxy (N, 4), scores (N,) and classes (N,) of one stride."""
    candidates = np.flatnonzero(scores.max(axis=1) > confidence)
    found = scores[candidates].astype(np.float32)
    logits = sides[candidates].astype(np.float32).reshape(-1, 4, _BINS)
    weights = np.exp(logits - logits.max(axis=2, keepdims=True))
    distance = (weights / weights.sum(axis=2, keepdims=True)) @ np.arange(_BINS, dtype=np.float32)
    middle = np.stack((candidates % columns, candidates // columns), axis=1) + np.float32(0.5)
    xyxy = np.concatenate((middle - distance[:, :2], middle + distance[:, 2:]), axis=1) * stride
    return xyxy.astype(np.float32), found.max(axis=1), found.argmax(axis=1)
