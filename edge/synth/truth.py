"""Ground truth of a frame, from the same sprites that were drawn on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["MIN_VISIBILITY", "MIN_VISIBLE_PX", "Placed", "Truth", "visible_truth"]

MIN_VISIBLE_PX = 16
MIN_VISIBILITY = 0.2


@dataclass(frozen=True, slots=True)
class Truth:
    """Visible objects of a frame, one row per object, in the order of the track ids.

    Attributes:
        xyxy: Boxes around the visible masks, float32 (N, 4), frame pixels; x2 and y2 are exclusive, so that
            `x2 - x1` is the width in pixels.
        masks: Visible pixels of each object, bool (N, H, W). Masks never overlap.
        class_id: Index into the scene's `classes`, int64 (N,).
        track_id: Number of the object, the same in every frame, int64 (N,).
        visibility: Share of the object's pixels that is inside the frame and not covered, float32 (N,) in
            (0, 1].
    """

    xyxy: NDArray[np.float32]
    masks: NDArray[np.bool_]
    class_id: NDArray[np.int64]
    track_id: NDArray[np.int64]
    visibility: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.class_id)


@dataclass(frozen=True, slots=True)
class Placed:
    """Mask of an object at its position in the frame.

    Attributes:
        mask: Pixels of which the object covers at least half, bool (h, w).
        left: Frame x of the first column of the mask, px; may be outside the frame.
        top: Frame y of the first row of the mask, px; may be outside the frame.
        class_id: Index into the scene's classes; None if it is not labeled but still covers others.
        track_id: Number of the object.
    """

    mask: NDArray[np.bool_]
    left: int
    top: int
    class_id: int | None
    track_id: int


def visible_truth(stack: Sequence[Placed], size: tuple[int, int]) -> Truth:
    """Compute the ground truth of a stack of objects, each covering those before it.

    Objects that a person could not be asked to label are left out: fewer than `MIN_VISIBLE_PX` visible
    pixels, or less than `MIN_VISIBILITY` of the object visible. They still cover others.

    Args:
        stack: Objects from bottom to top.
        size: Width and height of the frame, px.

    Returns:
        The visible objects, ordered by track id.
    """
    width, height = size
    covered = np.zeros((height, width), dtype=bool)
    seen: list[tuple[Placed, float]] = []
    for placed in reversed(stack):
        x1, y1 = max(placed.left, 0), max(placed.top, 0)
        x2 = min(placed.left + placed.mask.shape[1], width)
        y2 = min(placed.top + placed.mask.shape[0], height)
        if x1 >= x2 or y1 >= y2:
            continue
        inside = placed.mask[y1 - placed.top : y2 - placed.top, x1 - placed.left : x2 - placed.left]
        visible = inside & ~covered[y1:y2, x1:x2]
        covered[y1:y2, x1:x2] |= inside
        pixels = np.count_nonzero(visible)
        if placed.class_id is None or pixels < MIN_VISIBLE_PX:
            continue
        share = pixels / np.count_nonzero(placed.mask)
        if share >= MIN_VISIBILITY:
            seen.append((Placed(visible, x1, y1, placed.class_id, placed.track_id), share))
    return _as_truth(sorted(seen, key=lambda item: item[0].track_id), size)


def _as_truth(seen: Sequence[tuple[Placed, float]], size: tuple[int, int]) -> Truth:
    masks = np.zeros((len(seen), size[1], size[0]), dtype=bool)
    xyxy = np.zeros((len(seen), 4), dtype=np.float32)
    for mask, box, (one, _) in zip(masks, xyxy, seen, strict=True):
        mask[one.top : one.top + one.mask.shape[0], one.left : one.left + one.mask.shape[1]] = one.mask
        columns, rows = (np.flatnonzero(one.mask.any(axis=axis)) for axis in (0, 1))
        box[:] = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
        box += (one.left, one.top, one.left, one.top)
    return Truth(
        xyxy=xyxy,
        masks=masks,
        class_id=np.array([one.class_id for one, _ in seen], dtype=np.int64),
        track_id=np.array([one.track_id for one, _ in seen], dtype=np.int64),
        visibility=np.array([share for _, share in seen], dtype=np.float32),
    )
