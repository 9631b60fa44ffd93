"""Train and val by time: neighbouring frames look alike, so a random split would only test memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import Enum

from labeling.frames import FrameEntry

__all__ = ["Split", "split_by_time"]


class Split(Enum):
    """Where a frame goes."""

    TRAIN = "train"
    VAL = "val"
    GAP = "gap"


def split_by_time(frames: Sequence[FrameEntry], *, val_share: float, gap_share: float) -> list[Split]:
    """Split each source's frames: first train, then a gap that nobody sees, then val.

    The gap keeps an object that crosses the picture from being trained on and validated on.

    Args:
        frames: In the order in which they were taken, of one source or several.
        val_share: Share of a source's frames that become val, in [0, 1).
        gap_share: Share of a source's frames that are left out before val, in [0, 1).

    Returns:
        One split for each frame. A source of fewer than five frames is all train, as is everything where
        `val_share` is 0.
    """
    places: dict[str, list[int]] = {}
    for place, frame in enumerate(frames):
        places.setdefault(frame.source, []).append(place)
    splits = [Split.TRAIN] * len(frames)
    for own in places.values():
        if val_share == 0 or len(own) < 5:
            continue
        val = max(1, round(val_share * len(own)))
        gap = math.ceil(gap_share * len(own))
        first_val = len(own) - val
        for place in own[first_val:]:
            splits[place] = Split.VAL
        for place in own[max(1, first_val - gap) : first_val]:
            splits[place] = Split.GAP
    return splits
