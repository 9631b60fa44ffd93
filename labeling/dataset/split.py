"""Train and val by time: neighboring frames look alike, so a random split would only test memory."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from enum import Enum

from edgeloop.edge.frames.folder import FrameEntry

__all__ = ["Split", "split_by_time"]


class Split(Enum):
    """Where a frame goes."""

    TRAIN = "train"
    VAL = "val"
    GAP = "gap"


def split_by_time(frames: Sequence[FrameEntry], *, val_share: float, gap_share: float) -> list[Split]:
    """Split the frames of each recording: first train, then a gap that nobody sees, then val.

    The gap keeps an object that crosses the picture from being trained on and validated on. Where a source's
    times begin anew, a new recording of it begins.

    Args:
        frames: In the order in which they were taken, of one source or several.
        val_share: Share of a recording's frames that become val, in [0, 1).
        gap_share: Share of a recording's frames that are left out before val, in [0, 1).

    Returns:
        One split for each frame. A recording of fewer than five frames is all train, as is everything where
        `val_share` is 0.
    """
    splits = [Split.TRAIN] * len(frames)
    for own in _recordings(frames):
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


def _recordings(frames: Sequence[FrameEntry]) -> Iterator[list[int]]:
    """The places of the frames of each recording, in order."""
    places: dict[str, list[int]] = {}
    for place, frame in enumerate(frames):
        own = places.setdefault(frame.source, [])
        if own and (frame.time_s or 0.0) < (frames[own[-1]].time_s or 0.0):
            yield own
            own = places[frame.source] = []
        own.append(place)
    yield from places.values()
