"""Prompts and mask logits, as all decoders of SAM take and give them."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

__all__ = ["Decoder", "predict_alternatives", "predict_masks"]

Decoder = Callable[
    [npt.NDArray[np.float32], npt.NDArray[np.float32]],
    tuple[npt.NDArray[np.floating], npt.NDArray[np.floating]],
]
"""Point coordinates (N, P, 2) in pixels of the image and their labels (N, P), to logits (N, M, h, w) and
predicted IoU (N, M). Labels are 2 and 3 for the corners of a box, which come first, 1 for a point inside, 0
for one outside, -1 for padding. P is at least 2."""

_BATCH = 32  # bounds the memory of one decoder call
_SINGLE_AND_MULTI = 4  # outputs of a decoder that adds one unambiguous mask, the first, to three alternatives


def predict_masks(
    decode: Decoder,
    size: tuple[int, int],
    step: npt.NDArray[np.floating],
    *,
    boxes: npt.NDArray[np.float32] | None,
    points: npt.NDArray[np.float32] | None,
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float32]]:
    """Predict masks as `Segmenter.masks` does.

    Args:
        decode: Decoder of the image.
        size: Width and height of the image, in pixels.
        step: Logits per pixel of the image, along x and y.
        boxes: See `Segmenter.masks`.
        points: See `Segmenter.masks`.
    """
    if (boxes is None) == (points is None):
        raise ValueError("expected boxes or points, and only one of them")
    if boxes is not None:
        coords = boxes.reshape(-1, 2, 2)
        labels = np.tile(np.array([2, 3], dtype=np.float32), (len(coords), 1))
    else:
        assert points is not None  # noqa: S101 - for the type checker; checked above
        coords = np.stack([points, np.zeros_like(points)], axis=1)
        labels = np.tile(np.array([1, -1], dtype=np.float32), (len(coords), 1))
    masks = np.zeros((len(coords), size[1], size[0]), dtype=bool)
    scores = np.zeros(len(coords), dtype=np.float32)
    for start in range(0, len(coords), _BATCH):
        part = slice(start, start + _BATCH)
        logits, iou = decode(coords[part], labels[part])
        chosen = _choose(iou, are_boxes=boxes is not None)
        for row, output in enumerate(chosen):
            _paint(logits[row, output], step, masks[start + row])
            scores[start + row] = iou[row, output]
    return masks, scores


def predict_alternatives(
    decode: Decoder,
    size: tuple[int, int],
    step: npt.NDArray[np.floating],
    points: npt.NDArray[np.float32],
    labels: npt.NDArray[np.float32],
    box: npt.NDArray[np.float32] | None,
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float32]]:
    """Predict masks of one object as `InteractiveSegmenter.alternatives` does.

    Args:
        decode: Decoder of the image.
        size: Width and height of the image, in pixels.
        step: Logits per pixel of the image, along x and y.
        points: See `InteractiveSegmenter.alternatives`.
        labels: See `InteractiveSegmenter.alternatives`.
        box: See `InteractiveSegmenter.alternatives`.
    """
    if box is None:
        coords, kinds = np.concatenate([points, [[0, 0]]]), np.append(labels, -1)
    else:
        coords, kinds = np.concatenate([box.reshape(2, 2), points]), np.concatenate([[2, 3], labels])
    logits, iou = decode(coords[None].astype(np.float32), kinds[None].astype(np.float32))
    if box is None and len(points) == 1 and iou.shape[1] == _SINGLE_AND_MULTI:
        logits, iou = logits[:, 1:], iou[:, 1:]  # a single point is ambiguous
    masks = np.zeros((iou.shape[1], size[1], size[0]), dtype=bool)
    for output, mask in zip(logits[0], masks, strict=True):
        _paint(output, step, mask)
    return masks, iou[0].astype(np.float32)


def _choose(iou: npt.NDArray[np.floating], *, are_boxes: bool) -> npt.NDArray[np.intp]:
    """Choose one output per prompt: a box has one mask; a point may mean a part or the whole."""
    single_and_multi = iou.shape[1] == _SINGLE_AND_MULTI
    if are_boxes and single_and_multi:
        return np.zeros(len(iou), dtype=np.intp)
    first = int(single_and_multi)
    return np.asarray(first + iou[:, first:].argmax(axis=1))


def _paint(
    logits: npt.NDArray[np.floating], step: npt.NDArray[np.floating], mask: npt.NDArray[np.bool_]
) -> None:
    """Set the pixels of `mask` (H, W) where `logits` (h, w), `step` of them per pixel, are positive."""
    ys, xs = (np.flatnonzero((logits > 0).any(axis=axis)) for axis in (1, 0))
    if len(xs) == 0:
        return
    # One affine map from pixel centers to logit centers, only over the positive logits.
    height, width = mask.shape
    left, top = np.maximum(0, np.floor((np.array([xs[0], ys[0]]) - 0.5) / step)).astype(int)
    right, bottom = np.ceil((np.array([xs[-1], ys[-1]]) + 1.5) / step).astype(int)
    right, bottom = min(right, width), min(bottom, height)
    if right <= left or bottom <= top:
        return  # only in the padding beside the image
    shift = (step - 1) / 2 + step * (left, top)
    upscaled = cv2.warpAffine(
        logits,
        np.array([[step[0], 0, shift[0]], [0, step[1], shift[1]]]),
        (int(right - left), int(bottom - top)),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    np.greater(upscaled, 0, out=mask[top:bottom, left:right])
