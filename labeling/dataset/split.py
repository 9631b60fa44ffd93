"""Split into train and val, with no frame of val next to, or looking like, a frame of train."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from enum import Enum

import numpy as np

from edgeloop.edge.frames.folder import FrameEntry
from edgeloop.labeling.frames.perceptual_hash import nearest_hashes
from edgeloop.labeling.frames.recordings import FrameGroups

__all__ = ["NEAR_BITS", "NEAR_FRAMES", "Split", "split_frames"]

NEAR_FRAMES = 5
"""Distance of two frames in their source up to which one leaks the other, as `edgeloop stats` takes it."""

NEAR_BITS = 4
"""Difference of two perceptual hashes up to which two frames look the same."""

_LONG = 50  # frames of a recording that is split by time, not given to one part


class Split(Enum):
    """Part of the dataset; GAP frames are left out."""

    TRAIN = "train"
    VAL = "val"
    GAP = "gap"


def split_frames(
    frames: Sequence[FrameEntry],
    groups: FrameGroups,
    *,
    val_share: float,
    gap_share: float,
    seed: int = 0,
) -> list[Split]:
    """Split footage by time, and photos by groups of near-duplicates.

    A long recording is train first, then a gap, then val; the gap keeps an object that crosses the image
    out of both parts. Short recordings go to one part as a whole, if that can give val its share.

    Args:
        frames: Frames in time order.
        groups: Groups of these frames.
        val_share: Share of the frames that become val, in [0, 1).
        gap_share: Share of a recording's frames that are left out before val, in [0, 1). Unless it is 0,
            frames of val that look the same as a training frame are left out too.
        seed: Random seed.

    Returns:
        One split for each frame. Fewer than five frames are all train, as is everything if `val_share` is 0
        or all photos are near-duplicates of each other.
    """
    splits = [Split.TRAIN] * len(frames)
    if val_share == 0 or len(frames) < 5:
        return splits
    film = groups.kind == "film"
    long = [group for group in groups.groups if film and len(group) >= _LONG]
    short = [group for group in groups.groups if not film or len(group) < _LONG]
    whole = _draw(short, val_share, seed)
    if not whole and film:
        long = [*groups.groups]
    elif not whole and len(short) > 1:
        whole = [min(short, key=len)]
    for group in whole:
        for place in group:
            splits[place] = Split.VAL
    for group in long:
        _split_by_time(frames, group, val_share, gap_share, splits)
    if film and gap_share > 0:
        _leave_out_repeated(groups, splits)
    return splits


def _draw(groups: Sequence[Sequence[int]], share: float, seed: int) -> list[Sequence[int]]:
    """Draw groups of together about `share` of the frames; none if each one is too large."""
    left = round(share * sum(map(len, groups)))
    drawn = []
    for group in random.Random(seed).sample(groups, len(groups)):
        if len(group) <= left:
            drawn.append(group)
            left -= len(group)
    return drawn


def _split_by_time(
    frames: Sequence[FrameEntry],
    own: Sequence[int],
    val_share: float,
    gap_share: float,
    splits: list[Split],
) -> None:
    if len(own) < 5:
        return
    first_val = len(own) - max(1, round(val_share * len(own)))
    gap = math.ceil(gap_share * len(own))
    index = frames[own[first_val]].index
    longest = min(len(own) // 4, first_val)
    while 0 < gap < longest and index - frames[own[first_val - gap - 1]].index <= NEAR_FRAMES:
        gap += 1
    for place in own[first_val:]:
        splits[place] = Split.VAL
    for place in own[max(1, first_val - gap) : first_val]:
        splits[place] = Split.GAP


def _leave_out_repeated(groups: FrameGroups, splits: list[Split]) -> None:
    """Leave out frames of val that look the same as a frame of train, unless most of val does."""
    train = np.array([place for place, split in enumerate(splits) if split is Split.TRAIN], np.int64)
    val = np.array([place for place, split in enumerate(splits) if split is Split.VAL], np.int64)
    if not len(train):
        return
    repeated = val[nearest_hashes(groups.codes[val], groups.codes[train])[1] <= NEAR_BITS]
    if 2 * len(repeated) <= len(val):
        for place in repeated:
            splits[place] = Split.GAP
