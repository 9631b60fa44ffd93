"""The head of NanoDet (generalised focal loss): how far the sides of a box are, as distributions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgeloop.models.detections import Detections
from edgeloop.models.errors import ModelError
from edgeloop.models.heads.yolox import STRIDES

__all__ = ["decode", "output_shapes"]

_BINS = 8  # a side is 0 to 7 strides away from the middle of its cell


def output_shapes(input_size: tuple[int, int], classes: int) -> list[tuple[int, int, int]]:
    """What the model returns.

    Args:
        input_size: (width, height) of the model's input in pixels.
        classes: how many there are.

    Returns:
        The shapes of its six outputs: scores at the strides 8, 16 and 32, then sides.
    """
    width, height = input_size
    cells = [(width // stride) * (height // stride) for stride in STRIDES]
    return [(1, count, last) for last in (classes, 4 * _BINS) for count in cells]


def decode(
    outputs: Sequence[NDArray[np.floating]], *, input_size: tuple[int, int], confidence: float
) -> Detections:
    """Read the six outputs of NanoDet.

    Args:
        outputs: for the strides 8, 16 and 32, whose cells go row by row, first (1, cells, classes), scores in
            [0, 1], each; then (1, cells, 32) each: for the left, top, right and bottom side 8 logits of the
            distance 0 to 7 from the middle of the cell, in strides.
        input_size: (width, height) of the model's input in pixels.
        confidence: the best class of a box must exceed this.

    Returns:
        Detections in pixels of the model's input, in no order, before NMS.

    Raises:
        ModelError: the outputs have other shapes.
    """
    got = [output.shape for output in outputs]
    expected = output_shapes(input_size, classes=got[0][-1])
    if got != expected:
        raise ModelError(f"nanodet head: expected outputs {expected}, got {got}")
    levels = [
        _level(scores[0], sides[0], input_size[0] // stride, stride, confidence)
        for scores, sides, stride in zip(outputs[:3], outputs[3:], STRIDES, strict=True)
    ]
    return Detections(*(np.concatenate(parts) for parts in zip(*levels, strict=True)))


def _level(
    scores: NDArray[np.floating], sides: NDArray[np.floating], columns: int, stride: int, confidence: float
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
    """Boxes xyxy (N, 4), scores (N,) and classes (N,) of one stride."""
    sure = np.flatnonzero(scores.max(axis=1) > confidence)
    found = scores[sure].astype(np.float32)
    logits = sides[sure].astype(np.float32).reshape(-1, 4, _BINS)
    weights = np.exp(logits - logits.max(axis=2, keepdims=True))
    distance = (weights / weights.sum(axis=2, keepdims=True)) @ np.arange(_BINS, dtype=np.float32)
    middle = np.stack((sure % columns, sure // columns), axis=1) + np.float32(0.5)
    xyxy = np.concatenate((middle - distance[:, :2], middle + distance[:, 2:]), axis=1) * stride
    return xyxy.astype(np.float32), found.max(axis=1), found.argmax(axis=1)
