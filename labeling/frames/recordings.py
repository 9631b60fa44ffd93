"""Recordings of a film, or groups of near-duplicate photos, found by the pictures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.frames.folder import FrameEntry
from edgeloop.labeling.frames.frame_look import THUMBNAIL_PX, FrameLook
from edgeloop.labeling.frames.perceptual_hash import HASH_BITS, bits_apart

__all__ = ["FrameGroups", "describe_groups", "group_frames"]

_RANDOM_PAIRS = 2000
_ALIKE = 0.2  # distance of two thumbnails of one view, whatever moves in it
_ORDERED = 1 / 3  # share of a random pair's distance; at most 0.27 in footage that moves, 0.45 in photos
_NEAR_DUPLICATE_BITS = 60  # hashes of unrelated photos differ in 128 +- 8 bits
_WINDOW = 4  # frames on each side of a possible cut
_SWITCHED = 0.2  # share of the pixels; at most 0.09 within a recording, 0.24 to 0.75 at cuts
_GAP_S = 60.0
_GAP_STEPS = 20
_BLOCK = 250


@dataclass(frozen=True, slots=True)
class FrameGroups:
    """Frames that belong together.

    Attributes:
        kind: "film" if the groups are recordings, "photos" if they are near-duplicates.
        groups: Ascending positions of the frames of each group; every frame is in one group.
        codes: Perceptual hash of each frame, bool (N, `HASH_BITS`).
    """

    kind: Literal["film", "photos"]
    groups: Sequence[Sequence[int]]
    codes: NDArray[np.bool_]

    @property
    def description(self) -> str:
        """One line such as "film: 3 recordings"."""
        return describe_groups(self.kind, len(self.codes), len(self.groups))

    @property
    def numbers(self) -> list[int]:
        """Number of its group for each frame, from 0."""
        numbers = [0] * len(self.codes)
        for number, group in enumerate(self.groups):
            for place in group:
                numbers[place] = number
        return numbers


def describe_groups(kind: str, frames: int, groups: int) -> str:
    """Describe the groups of some frames as `FrameGroups.description`."""
    if kind == "film":
        return f"film: {groups} recording{'s' * (groups != 1)}"
    return f"photos: {frames} pictures in {groups} groups"


def group_frames(
    entries: Sequence[FrameEntry],
    looks: Iterable[FrameLook | None],
    footage: Literal["auto", "film", "photos"] = "auto",
) -> FrameGroups:
    """Tell film from photos, and group the frames of one recording or the photos of one view.

    Frames with times are film. Others are film if neighbors look alike: much more than random pairs, or so
    much that the camera must have been fixed. A recording ends at the end of its source, at a restart or gap
    of its times or, without times, if the picture changes for good between two frames.

    Args:
        entries: At least one frame, in the order of `read_frames`.
        looks: Look of each. An unreadable one, None, counts as a repetition of the one before.
        footage: "film" or "photos" overrides the decision.
    """
    thumbnails, codes = _stacked(looks, len(entries))
    sources = _by_source(entries)
    typical = _random_distance(thumbnails)
    timed = all(entry.time_s is not None for entry in entries)
    if footage == "auto":
        footage = "film" if timed or _neighbors_alike(thumbnails, sources, typical) else "photos"
    if footage == "photos":
        return FrameGroups(footage, _near_duplicates(codes), codes)
    recordings: list[Sequence[int]] = []
    for own in sources:
        begins = _time_cuts(entries, own) if timed else _picture_cuts(thumbnails[own], typical)
        recordings += (own[start:end] for start, end in pairwise([0, *begins, len(own)]))
    return FrameGroups(footage, recordings, codes)


def _stacked(looks: Iterable[FrameLook | None], frames: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Stack thumbnails (N, 32, 32) and hashes (N, HASH_BITS)."""
    thumbnails = np.zeros((frames, THUMBNAIL_PX, THUMBNAIL_PX), np.uint8)
    codes = np.zeros((frames, HASH_BITS), np.bool_)
    for place, look in enumerate(looks):
        if look is not None:
            thumbnails[place], codes[place] = look.thumbnail, look.code
        elif place:
            thumbnails[place], codes[place] = thumbnails[place - 1], codes[place - 1]
    return thumbnails, codes


def _by_source(entries: Sequence[FrameEntry]) -> list[list[int]]:
    places: dict[str, list[int]] = {}
    for place, entry in enumerate(entries):
        places.setdefault(entry.source, []).append(place)
    return list(places.values())


def _normalized(thumbnails: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Flatten to vectors of mean 0 and length 1: 1 - dot product is a distance that ignores brightness."""
    vectors = thumbnails.reshape(len(thumbnails), -1).astype(np.float32)
    vectors -= vectors.mean(axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6), np.float32)


def _distances(thumbnails: NDArray[np.uint8], one: Sequence[int], other: Sequence[int]) -> list[float]:
    """Compute the distance of each pair of positions, block by block."""
    distances: list[float] = []
    for start in range(0, len(one), _BLOCK):
        block = slice(start, start + _BLOCK)
        pairs = _normalized(thumbnails[one[block]]) * _normalized(thumbnails[other[block]])
        distances += (1 - pairs.sum(axis=1)).tolist()
    return distances


def _random_distance(thumbnails: NDArray[np.uint8]) -> float:
    """Median distance of random pairs that are no neighbors; 1 if there is none."""
    pairs = np.random.default_rng(0).integers(0, len(thumbnails), (_RANDOM_PAIRS, 2))
    pairs = pairs[abs(pairs[:, 0] - pairs[:, 1]) > 1]
    distances = _distances(thumbnails, pairs[:, 0].tolist(), pairs[:, 1].tolist())
    return float(np.median(distances)) if distances else 1.0


def _neighbors_alike(thumbnails: NDArray[np.uint8], sources: Sequence[Sequence[int]], typical: float) -> bool:
    pairs = list(chain.from_iterable(pairwise(own) for own in sources))
    if not pairs:
        return False
    distances = _distances(thumbnails, [one for one, _ in pairs], [other for _, other in pairs])
    return float(np.median(distances)) <= max(_ALIKE, _ORDERED * typical)


def _time_cuts(entries: Sequence[FrameEntry], own: Sequence[int]) -> list[int]:
    """Find where times restart, or a gap is much longer than the usual step between frames."""
    steps = np.diff([entries[place].time_s or 0.0 for place in own])
    forward = steps[steps >= 0]
    gap = max(_GAP_S, _GAP_STEPS * float(np.median(forward))) if len(forward) else _GAP_S
    return [int(place) + 1 for place in np.flatnonzero((steps < 0) | (steps > gap))]


def _picture_cuts(thumbnails: NDArray[np.uint8], typical: float) -> list[int]:
    """Find where the picture changes for good; a recording of fewer than `_WINDOW` frames is not told apart.

    Either many pixels switch: they differ more between the frames before and those after than within each
    side, as if a fixed camera was moved or a day has passed. Or no frame before is like any after.
    """
    places = range(_WINDOW, len(thumbnails) - _WINDOW + 1)
    if not places:
        return []
    closest = np.array([_closest(thumbnails[at - _WINDOW : at + _WINDOW]) for at in places])
    return [
        at
        for number, at in enumerate(places)
        if _switched(thumbnails[at - _WINDOW : at + _WINDOW]) >= _SWITCHED
        or _stands_out(closest, number, typical)
    ]


def _switched(window: NDArray[np.uint8]) -> float:
    """Compute the share of pixels that differ more across the middle of the window than on either side."""
    before, after = window[:_WINDOW].astype(np.int16), window[_WINDOW:].astype(np.int16)
    low, high, low_after, high_after = before.min(0), before.max(0), after.min(0), after.max(0)
    across = np.maximum(low_after - high, low - high_after)
    within = np.maximum(high - low, high_after - low_after)
    return float((across > within + 2).mean())  # + 2: gray levels of noise in a still picture


def _closest(window: NDArray[np.uint8]) -> float:
    """Compute the least distance of a frame before the middle of the window to one after."""
    vectors = _normalized(window)
    return float(1 - (vectors[:_WINDOW] @ vectors[_WINDOW:].T).max())


def _stands_out(closest: NDArray[np.float64], number: int, typical: float) -> bool:
    """True if a distance is like a random pair's and far above those around it."""
    around = np.delete(closest[max(0, number - 20) : number + 21], min(number, 20))
    return bool(closest[number] > max(0.75 * typical, 4 * np.median(around) if len(around) else 0.0))


def _near_duplicates(codes: NDArray[np.bool_]) -> list[Sequence[int]]:
    """Group photos whose hashes are close, directly or by way of others."""
    from scipy.sparse import coo_array  # takes as long to load as OpenCV
    from scipy.sparse.csgraph import connected_components

    numbers = np.arange(len(codes))
    for start in range(0, len(codes), _BLOCK):
        one, other = np.nonzero(bits_apart(codes[start : start + _BLOCK], codes) <= _NEAR_DUPLICATE_BITS)
        links = coo_array(
            (np.ones(len(one), np.int8), (numbers[start + one], numbers[other])), shape=(len(codes),) * 2
        )
        numbers = connected_components(links, directed=False)[1][numbers]
    groups: dict[int, list[int]] = {}
    for place, number in enumerate(numbers.tolist()):
        groups.setdefault(number, []).append(place)
    return list(groups.values())
