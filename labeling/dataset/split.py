"""Split into train and val by time, because neighboring frames are near duplicates."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from enum import Enum

from edgeloop.edge.frames.folder import FrameEntry

__all__ = ["Split", "split_by_time"]


class Split(Enum):
    """Part of the dataset; GAP frames are left out."""

    TRAIN = "train"
    VAL = "val"
    GAP = "gap"


def split_by_time(frames: Sequence[FrameEntry], *, val_share: float, gap_share: float) -> list[Split]:
    """Split the frames of each recording: first train, then a gap that is left out, then val.

    The gap keeps an object that crosses the image out of both parts. If a source's times restart, a new
    recording begins.

    Args:
        frames: Frames in time order, of one source or several.
        val_share: Share of a recording's frames that become val, in [0, 1).
        gap_share: Share of a recording's frames that are left out before val, in [0, 1).

    Returns:
        One split for each frame. A recording of fewer than five frames is all train, as is everything if
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
    """Group the positions of the frames by recording."""
    places: dict[str, list[int]] = {}
    for place, frame in enumerate(frames):
        own = places.setdefault(frame.source, [])
        if own and (frame.time_s or 0.0) < (frames[own[-1]].time_s or 0.0):
            yield own
            own = places[frame.source] = []
        own.append(place)
    yield from places.values()
