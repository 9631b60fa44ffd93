"""Ultralytics' heads of instance segmentation before NMS: YOLOv8-seg, YOLO11-seg, and edgeloop's own.

Two outputs: the dense one of a "classic" head, with K mask coefficients behind the class scores,
(1, 4 + classes + K, N), and K prototypes (1, K, Hp, Wp) that cover the model's input. The logits of a mask
are its coefficients times the prototypes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgeloop.models.boxes import cxcywh_to_xyxy
from edgeloop.models.detections import Detections
from edgeloop.models.errors import ModelError
from edgeloop.models.masks import Masks

if TYPE_CHECKING:
    from edgeloop.models.letterbox import Letterbox

__all__ = ["count_classes", "decode", "draw_masks", "mean_mask"]


def decode(
    outputs: Sequence[NDArray[np.floating]], *, confidence: float
) -> tuple[Detections, NDArray[np.int64]]:
    """Decode boxes and classes, without masks.

    Args:
        outputs: (1, 4 + classes + K, N), center x, center y, width, height in pixels of the model's input,
            one score in [0, 1] per class, then the mask coefficients; and prototypes (1, K, Hp, Wp).
        confidence: Minimum score, exclusive.

    Returns:
        Unordered detections in pixels of the model's input, and the cell of each, int64 (N,), for
        `draw_masks`.

    Raises:
        ModelError: The outputs have other shapes.
    """
    dense = outputs[0][0, : 4 + count_classes(outputs)]
    scores = dense[4:]
    cells = np.flatnonzero(scores.max(axis=0) > confidence)
    best = scores[:, cells].astype(np.float32)
    found = Detections(
        cxcywh_to_xyxy(dense[:4, cells].T), best.max(axis=0, initial=0), best.argmax(axis=0).astype(np.int64)
    )
    return found, cells.astype(np.int64)


def count_classes(outputs: Sequence[NDArray[np.floating]]) -> int:
    """Count the classes of the two outputs, or raise ModelError if they have other shapes."""
    match [output.shape for output in outputs]:
        case [(1, channels, _), (1, masks, _, _)] if channels > 4 + masks > 4:
            return int(channels - masks - 4)
    raise ModelError(
        "segment head: expected outputs (1, 4 + classes + K, N) and prototypes (1, K, H/4, W/4), got "
        f"{' '.join(str(output.shape) for output in outputs)}"
    )


def mean_mask(outputs: Sequence[NDArray[np.floating]], cell: int) -> float:
    """Average the probability of a cell's mask over the whole input."""
    prototypes = outputs[1][0].astype(np.float32)
    coefficients = outputs[0][0, -len(prototypes) :, cell].astype(np.float32)
    logits = np.clip(np.tensordot(coefficients, prototypes, axes=1), -80, 80)
    return float((1 / (1 + np.exp(-logits))).mean())


def draw_masks(
    outputs: Sequence[NDArray[np.floating]],
    cells: NDArray[np.int64],
    letterbox: Letterbox,
    xyxy_src: NDArray[np.float32],
) -> Masks:
    """Draw the masks of some detections, each within its box only.

    Logits are interpolated bilinearly to the pixels of the source image, so an edge is as smooth as the
    prototypes allow. The time grows with the area of the boxes, not with that of the image.

    Args:
        outputs: As for `decode`.
        cells: int64 (N,), the cell of each detection.
        letterbox: Transform of the source image to the model's input.
        xyxy_src: float32 (N, 4), boxes in pixels of the source image, clipped to it.

    Returns:
        Masks of the source image; windows are the pixels that a box touches.
    """
    coefficients = outputs[0][0, -outputs[1].shape[1] :, cells].astype(np.float32)
    prototypes = outputs[1][0]
    corners = np.floor(xyxy_src[:, :2]).astype(np.int64)
    ends = np.ceil(xyxy_src[:, 2:]).astype(np.int64)
    ends = np.clip(ends, corners, letterbox.source_size)
    windows = []
    for row, (left, top), (right, bottom) in zip(coefficients, corners.tolist(), ends.tolist(), strict=True):
        columns, across = _interpolation(left, right, 0, letterbox, prototypes.shape[2])
        rows, down = _interpolation(top, bottom, 1, letterbox, prototypes.shape[1])
        part = prototypes[:, rows, columns].astype(np.float32, copy=False)
        logits = np.tensordot(row, part, axes=1)
        windows.append(np.linalg.multi_dot((down, logits, across.T)) > 0)
    return Masks(tuple(windows), corners, letterbox.source_size)


def _interpolation(
    start: int, stop: int, axis: int, letterbox: Letterbox, cells: int
) -> tuple[slice, NDArray[np.float32]]:
    """Find the cells of a prototype under source pixels, and the share of each cell in each pixel.

    Args:
        start: First column (axis 0) or row (axis 1) of the source image.
        stop: End of them, exclusive.
        axis: 0 for columns, 1 for rows.
        letterbox: Transform of the source image to the model's input.
        cells: Cells of a prototype along the axis.

    Returns:
        The cells, and float32 (stop - start, their number), whose rows have the sum 1.
    """
    scale = letterbox.resized_size[axis] / letterbox.source_size[axis]
    centers_model = (np.arange(start, stop) + 0.5) * scale + letterbox.offset[axis]
    places = np.clip(centers_model * cells / letterbox.model_size[axis] - 0.5, 0, cells - 1)
    if not places.size:
        return slice(0, 0), np.empty((0, 0), np.float32)
    first, last = int(places[0]), min(int(places[-1]) + 1, cells - 1)
    distance = np.abs(places[:, None] - np.arange(first, last + 1))
    return slice(first, last + 1), np.maximum(1 - distance, 0).astype(np.float32)
