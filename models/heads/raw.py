"""Head without its decoding: the last convolutions of each stride, for chips that should not decode.

Quantized, a tensor with boxes in pixels and scores in [0, 1] has one scale for both, and the scores are lost;
as outputs of their own they keep theirs. The decoding is that of the heads this one was cut from: of
edgeloop's detector, and of Ultralytics' with a box as four distances or as their distributions (DFL, Li et
al. 2020, https://arxiv.org/abs/2006.04388).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgeloop.models.boxes import cxcywh_to_xyxy
from edgeloop.models.detections import Detections
from edgeloop.models.errors import ModelError

__all__ = ["decode", "levels_of", "raw_to_classic"]

_SIDES = 4


def decode(
    outputs: Sequence[NDArray[np.floating]], *, input_size: tuple[int, int], confidence: float
) -> Detections:
    """Decode pairs of outputs, one per stride, the smallest stride first.

    Of each pair the first is (1, 4 * bins, H, W): distances from the middle of the cell to the left, top,
    right and bottom edge in strides, with several bins as logits of their distribution. The second is
    (1, classes, H, W), class logits. Only cells above the confidence are decoded.
    """
    with np.errstate(divide="ignore"):
        threshold = np.log(confidence) - np.log1p(-confidence)  # -inf for 0, inf for 1
    parts = []
    for boxes, scores, stride in levels_of(outputs, input_size):
        logits = scores.reshape(scores.shape[1], -1)
        cells = np.flatnonzero(logits.max(axis=0) > threshold)
        if cells.size:
            chosen = logits[:, cells]
            best = _sigmoid(chosen.max(axis=0).astype(np.float32))
            cxcywh = _boxes(boxes.reshape(boxes.shape[1], -1)[:, cells], cells, boxes.shape[3], stride)
            parts.append(Detections(cxcywh_to_xyxy(cxcywh.T), best, chosen.argmax(axis=0)))
    if not parts:
        return Detections.empty()
    return Detections(
        np.concatenate([part.xyxy for part in parts]),
        np.concatenate([part.confidence for part in parts]),
        np.concatenate([part.class_id for part in parts]),
    )


def raw_to_classic(
    outputs: Sequence[NDArray[np.floating]], input_size: tuple[int, int]
) -> NDArray[np.float32]:
    """Decode every cell: the output (1, 4 + classes, N) of the classic head that these were cut from."""
    parts = []
    for boxes, scores, stride in levels_of(outputs, input_size):
        rows = boxes.reshape(boxes.shape[1], -1)
        cells = np.arange(rows.shape[1])
        logits = scores.reshape(scores.shape[1], -1).astype(np.float32)
        parts.append(np.concatenate((_boxes(rows, cells, boxes.shape[3], stride), _sigmoid(logits))))
    return np.concatenate(parts, axis=1)[None]


def levels_of(
    outputs: Sequence[NDArray[np.floating]], input_size: tuple[int, int]
) -> list[tuple[NDArray[np.floating], NDArray[np.floating], float]]:
    """Pair the outputs: boxes, scores and stride of each level.

    Raises:
        ModelError: The outputs are no such pairs.
    """
    width = input_size[0]
    levels = []
    for boxes, scores in zip(outputs[::2], outputs[1::2], strict=len(outputs) % 2 == 0):
        if (
            boxes.ndim != 4
            or scores.ndim != 4
            or boxes.shape[0] != 1
            or boxes.shape[1] % _SIDES
            or boxes.shape[2:] != scores.shape[2:]
            or width % boxes.shape[3]
        ):
            break
        levels.append((boxes, scores, width / boxes.shape[3]))
    if not levels or 2 * len(levels) != len(outputs):
        shapes = ", ".join(str(output.shape) for output in outputs)
        raise ModelError(
            f"raw head: expected pairs (1, 4 * bins, H, W) and (1, classes, H, W) by stride, got {shapes}"
        )
    return levels


def _boxes(
    rows: NDArray[np.floating], cells: NDArray[np.intp], columns: int, stride: float
) -> NDArray[np.float32]:
    """Center x, center y, width, height (4, N) in pixels of the input, of rows (4 * bins, N)."""
    near_x, near_y, far_x, far_y = _distances(rows.astype(np.float32))
    x = cells % columns + np.float32(0.5) + (far_x - near_x) / 2
    y = cells // columns + np.float32(0.5) + (far_y - near_y) / 2
    boxes: NDArray[np.float32] = np.stack((x, y, near_x + far_x, near_y + far_y)).astype(np.float32)
    return boxes * np.float32(stride)


def _distances(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Distances (4, N) in strides; of several bins per side the mean of their distribution."""
    bins = rows.shape[0] // _SIDES
    if bins == 1:
        return rows
    logits = rows.reshape(_SIDES, bins, -1)
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    places = np.arange(bins, dtype=np.float32)[:, None]
    distances: NDArray[np.float32] = (weights * places).sum(axis=1) / weights.sum(axis=1)
    return distances


def _sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):  # exp(88) is infinite, and 1 / inf the right answer
        return np.float32(1) / (np.float32(1) + np.exp(-logits))
