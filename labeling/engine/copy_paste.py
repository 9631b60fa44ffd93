"""Class-balanced copy-paste augmentation of exemplar frames.

Simple copy-paste (Ghiasi et al., 2021) along SAM's masks. The class of each pasted object is drawn with equal
probability, so that a class with one exemplar is not drowned by one with a hundred.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeloop.export.learn.augment import Sample
from edgeloop.labeling.sam import Segmenter

__all__ = ["Cutout", "by_class", "cut_objects", "paste_objects"]

_MIN_SAM_SCORE = 0.5  # predicted IoU below which the whole box is pasted
_MIN_MASK_SHARE = 0.3  # of the box; below, the mask shows a part
_MIN_SIDE_PX = 3
_ZOOM = 0.25  # largest change of the size, natural logarithm
_BRIGHTNESS = 0.15  # largest relative change
_MAX_COVERED = 0.3  # of an object's box by a pasted one; more would hide it
_PLACES = 8  # tries to find one
_BATCH = 32  # masks come at the size of the frame


class Cutout(NamedTuple):
    """Object cut out of a frame.

    Attributes:
        pixels: uint8 (h, w, 3) BGR, the inside of its box.
        mask: float32 (h, w) in [0, 1].
        whole: False if the border of its frame cuts it.
    """

    pixels: NDArray[np.uint8]
    mask: NDArray[np.float32]
    whole: bool


def cut_objects(frame: Sample, segmenter: Segmenter) -> list[tuple[int, Cutout]]:
    """Cut the objects out of a frame along their masks, each with its class."""
    if not len(frame.xyxy):
        return []
    segmenter.set_image(frame.image)
    cutouts = []
    for start in range(0, len(frame.xyxy), _BATCH):
        class_ids, boxes = frame.class_id[start : start + _BATCH], frame.xyxy[start : start + _BATCH]
        masks, scores = segmenter.masks(boxes=boxes)
        for class_id, box, mask, score in zip(class_ids.tolist(), boxes, masks, scores.tolist(), strict=True):
            cutout = _cut(frame.image, box, mask, score)
            if cutout is not None:
                cutouts.append((class_id, cutout))
    return cutouts


def by_class(cutouts: Iterable[tuple[int, Cutout]]) -> dict[int, list[Cutout]]:
    """Group cutouts by class, without those that a border cuts if the class has others."""
    groups: dict[int, list[Cutout]] = {}
    for class_id, cutout in cutouts:
        groups.setdefault(class_id, []).append(cutout)
    return {class_id: [each for each in own if each.whole] or own for class_id, own in sorted(groups.items())}


def paste_objects(frame: Sample, cutouts: Mapping[int, Sequence[Cutout]], rng: np.random.Generator) -> Sample:
    """Paste objects over a copy of a frame, where they hide none of its own.

    Args:
        frame: Frame with its boxes.
        cutouts: Objects by class, of this frame and others.
        rng: Source of randomness.

    Returns:
        The copy, with the boxes of the pasted objects after its own.
    """
    image, class_id, xyxy = frame.image.copy(), frame.class_id, frame.xyxy
    classes = list(cutouts)
    for _ in range(int(rng.integers(1, 2 + max(2, len(xyxy) // 3))) if classes else 0):
        chosen = classes[int(rng.integers(len(classes)))]
        cutout = _varied(cutouts[chosen][int(rng.integers(len(cutouts[chosen])))], rng)
        box = _free_place(cutout.mask.shape, image.shape, xyxy, rng)
        if box is not None:
            left, top, right, bottom = box.astype(int).tolist()
            window, share = image[top:bottom, left:right], cutout.mask[..., None]
            window[:] = np.rint(window * (1 - share) + cutout.pixels * share)
            class_id, xyxy = np.append(class_id, chosen), np.concatenate((xyxy, box[None]))
    return Sample(image, class_id, xyxy)


def _cut(
    image: NDArray[np.uint8], box: NDArray[np.float32], mask: NDArray[np.bool_], score: float
) -> Cutout | None:
    height, width = image.shape[:2]
    left, top, right, bottom = np.rint(box).astype(int).clip(0, (width, height, width, height)).tolist()
    if min(right - left, bottom - top) < _MIN_SIDE_PX:
        return None
    inside = mask[top:bottom, left:right].astype(np.float32)
    if score < _MIN_SAM_SCORE or inside.mean() < _MIN_MASK_SHARE:
        inside = np.ones_like(inside)
    whole = left > 1 and top > 1 and right < width - 1 and bottom < height - 1
    return Cutout(image[top:bottom, left:right], inside, whole)


def _varied(cutout: Cutout, rng: np.random.Generator) -> Cutout:
    """Change size and brightness, and mirror half of the time."""
    zoom = float(np.exp(rng.uniform(-_ZOOM, _ZOOM)))
    height, width = cutout.mask.shape
    size = max(_MIN_SIDE_PX, int(width * zoom)), max(_MIN_SIDE_PX, int(height * zoom))
    pixels, mask = cv2.resize(cutout.pixels, size), cv2.resize(cutout.mask, size)
    if rng.random() < 0.5:
        pixels, mask = pixels[:, ::-1], np.ascontiguousarray(mask[:, ::-1])
    bright = np.clip(pixels * rng.uniform(1 - _BRIGHTNESS, 1 + _BRIGHTNESS), 0, 255)
    soft = np.asarray(cv2.GaussianBlur(mask, (3, 3), 0), np.float32)
    return Cutout(bright.astype(np.uint8), soft, cutout.whole)


def _free_place(
    size: tuple[int, ...], frame: tuple[int, ...], taken: NDArray[np.float32], rng: np.random.Generator
) -> NDArray[np.float32] | None:
    """Box xyxy, whole pixels, that covers no taken one by much; None if none is found."""
    (height, width), (rows, columns) = size, frame[:2]
    if height >= rows or width >= columns:
        return None
    for _ in range(_PLACES):
        x, y = int(rng.integers(columns - width + 1)), int(rng.integers(rows - height + 1))
        box = np.array([x, y, x + width, y + height], np.float32)
        shared = np.minimum(taken[:, 2:], box[2:]) - np.maximum(taken[:, :2], box[:2])
        covered = shared.clip(0).prod(axis=1) / (taken[:, 2:] - taken[:, :2]).prod(axis=1)
        if covered.max(initial=0) < _MAX_COVERED:
            return box
    return None
