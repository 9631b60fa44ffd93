"""Copy-paste augmentation of exemplar frames: objects rotated, mirrored, resized and pasted over each other.

Simple copy-paste (Ghiasi et al., 2021), with boxes that follow what is still to be seen of an object.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeloop.labeling.candidates.exemplar_masks import ExemplarMasks
from edgeloop.labeling.candidates.mask import CroppedMask
from edgeloop.models.boxes import clip_boxes, iou_matrix

__all__ = ["paste_objects"]

_SHARE = 0.8  # as many are pasted as this share of the frame's own, half more or less
_RESIZED = 0.15  # natural logarithm of the size, at most, up or down
_NEAR_ANOTHER = 0.5  # of the pasted ones; the others lie anywhere
_LEAST_AGREEMENT = 0.75  # IoU of a box and its mask's, from which on the mask is worth cutting along
_LEAST_VISIBLE = 0.25  # of an object that is covered in part; less is neither object nor background
_LEAST_PIXELS = 16


class _Thing(NamedTuple):
    """An object in an image, and its pixels before anything covered it."""

    xyxy: NDArray[np.float32]
    class_id: int
    cropped: CroppedMask | None
    whole: int


class _Source(NamedTuple):
    """Objects that can be cut out."""

    xyxy: NDArray[np.float32]
    class_id: int
    cropped: CroppedMask


class _Cutout(NamedTuple):
    """uint8 (h, w, 3) BGR and its mask, float32 (h, w) in [0, 1]; how far a box was drawn around, px."""

    pixels: NDArray[np.uint8]
    mask: NDArray[np.float32]
    margin: float
    class_id: int


def paste_objects(frame: ExemplarMasks, rng: np.random.Generator) -> ExemplarMasks:
    """Paste rotated copies of some of a frame's objects, half of them near or over others.

    Args:
        frame: Only objects whose mask agrees with their box and that no border cuts are copied; nothing is
            pasted over an object without a mask, because its visible part would be unknown.
        rng: Random generator.

    Returns:
        The picture. Each box of what is now covered in part ends where that does.
    """
    sources = [
        _Source(box, class_id, cropped)
        for box, class_id, cropped in zip(frame.xyxy, frame.class_id.tolist(), frame.masks, strict=True)
        if cropped is not None and _is_whole(box, cropped, frame.image)
    ]
    things = [
        _Thing(box, class_id, cropped, 0 if cropped is None else int(cropped.bits.sum()))
        for box, class_id, cropped in zip(frame.xyxy, frame.class_id.tolist(), frame.masks, strict=True)
    ]
    image = frame.image.copy()
    for _ in range(round(_SHARE * len(sources) * rng.uniform(0.5, 1.5))):
        cutout = _cut_out(frame.image, sources[int(rng.integers(len(sources)))], rng)
        if cutout is not None:
            things = _paste(image, things, cutout, _corner(cutout, things, image, rng))
    return ExemplarMasks(
        frame.number,
        image,
        np.array([thing.xyxy for thing in things], np.float32).reshape(-1, 4),
        np.array([thing.class_id for thing in things], np.int64),
        [thing.cropped for thing in things],
    )


def _is_whole(box: NDArray[np.float32], cropped: CroppedMask, image: NDArray[np.uint8]) -> bool:
    """True if no border cuts an object and its mask agrees with its box."""
    height, width = image.shape[:2]
    inside = bool((box[:2] > 1).all() and (box[2:] < (width - 1, height - 1)).all())
    return inside and float(iou_matrix(box[None], cropped.xyxy[None])[0, 0]) >= _LEAST_AGREEMENT


def _cut_out(image: NDArray[np.uint8], source: _Source, rng: np.random.Generator) -> _Cutout | None:
    """An object, turned, mirrored or not, and somewhat larger or smaller."""
    box, class_id, cropped = source
    zoom = float(np.exp(rng.uniform(-_RESIZED, _RESIZED)))
    side = int(np.ceil(np.hypot(*(cropped.xyxy[2:] - cropped.xyxy[:2])) * zoom)) + 4
    center = ((cropped.left + cropped.right) / 2, (cropped.top + cropped.bottom) / 2)
    matrix = cv2.getRotationMatrix2D(center, rng.uniform(0, 360), zoom)
    matrix[:, 2] += side / 2 - np.array(center)
    if rng.random() < 0.5:
        matrix[0] = -matrix[0]
        matrix[0, 2] += side
    of_mask = matrix.copy()
    of_mask[:, 2] += matrix[:, :2] @ (cropped.left, cropped.top)
    mask = np.asarray(cv2.warpAffine(cropped.bits.astype(np.float32), of_mask, (side, side)), np.float32)
    outline = CroppedMask.from_mask(mask > 0.5)
    if outline is None or outline.bits.sum() < _LEAST_PIXELS:
        return None
    part = np.s_[outline.top : outline.bottom, outline.left : outline.right]
    pixels = np.asarray(cv2.warpAffine(image, matrix, (side, side)), np.uint8)
    soft = np.asarray(cv2.GaussianBlur(mask, (3, 3), 0), np.float32)
    drawn_around = np.concatenate((cropped.xyxy[:2] - box[:2], box[2:] - cropped.xyxy[2:]))
    return _Cutout(pixels[part], soft[part], float(drawn_around.mean()) * zoom, class_id)


def _corner(
    cutout: _Cutout, things: Sequence[_Thing], image: NDArray[np.uint8], rng: np.random.Generator
) -> tuple[int, int]:
    """X and y of the first pixel, maybe outside the image: near another thing, or anywhere."""
    sides = np.array(cutout.mask.shape[::-1])
    if rng.random() < _NEAR_ANOTHER:
        near = things[int(rng.integers(len(things)))].xyxy
        reach = (near[2:] - near[:2] + sides) / 2
        center = (near[:2] + near[2:]) / 2 + rng.uniform(-1, 1, 2) * reach
    else:
        center = rng.uniform(0, 1, 2) * image.shape[1::-1]
    x, y = np.floor(center - sides / 2).astype(int).tolist()
    return x, y


def _paste(
    image: NDArray[np.uint8], things: list[_Thing], cutout: _Cutout, corner: tuple[int, int]
) -> list[_Thing]:
    """Paste into the image if enough of every object stays visible; return the objects in it."""
    height, width = image.shape[:2]
    left, top = max(corner[0], 0), max(corner[1], 0)
    right = min(corner[0] + cutout.mask.shape[1], width)
    bottom = min(corner[1] + cutout.mask.shape[0], height)
    if left >= right or top >= bottom:
        return things
    part = np.s_[top - corner[1] : bottom - corner[1], left - corner[0] : right - corner[0]]
    new, whole = CroppedMask.from_mask(cutout.mask[part] > 0.5, left, top), int((cutout.mask > 0.5).sum())
    if new is None or new.bits.sum() < _LEAST_VISIBLE * whole:
        return things
    below = [_covered(thing, new) for thing in things]
    if any(thing is None for thing in below):
        return things
    window = image[top:bottom, left:right]
    share = cutout.mask[part][..., None]
    window[:] = np.rint(window * (1 - share) + cutout.pixels[part] * share)
    box = new.xyxy + np.float32(cutout.margin) * np.array([-1, -1, 1, 1], np.float32)
    own = _Thing(clip_boxes(box[None], width, height)[0], cutout.class_id, new, whole)
    return [*(thing for thing in below if thing is not None), own]


def _covered(thing: _Thing, new: CroppedMask) -> _Thing | None:
    """Part of an object that another leaves visible; None if that is too little or unknown."""
    if thing.cropped is None:
        apart = (new.xyxy[:2] >= thing.xyxy[2:]).any() or (thing.xyxy[:2] >= new.xyxy[2:]).any()
        return thing if apart else None
    before = thing.cropped
    shared = before.shared_window(new)
    if shared is None or not (before.window(*shared) & new.window(*shared)).any():
        return thing
    uncovered = CroppedMask(before.left, before.top, before.bits.copy())
    uncovered.window(*shared)[:] &= ~new.window(*shared)
    after = CroppedMask.from_mask(uncovered.bits, before.left, before.top)
    if after is None or after.bits.sum() < _LEAST_VISIBLE * thing.whole:
        return None
    return thing._replace(xyxy=thing.xyxy + after.xyxy - before.xyxy, cropped=after)
