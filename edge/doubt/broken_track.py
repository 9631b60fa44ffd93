"""Tracks that break: objects that the frames before and after show, and objects that vanish in mid-picture.

Objects are predicted from frame to frame by their own motion, so that a conveyor breaks no track. A missing
detection between two others is a sign of Jin et al. 2018 (arXiv:1808.04285).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.doubt.neighborhood import Neighborhood, TemporalSign, any_of
from edgeloop.edge.doubt.track_links import away_from_all, link
from edgeloop.models.detections import Detections

__all__ = ["BrokenTracks"]

_LOST_S = 1.0
"""Seconds after which an object that vanished is forgotten; its doubt falls to 0 until then."""

_ENDS_WRONGLY = 0.5
"""Share of the tracks that vanish in mid-picture and go on unseen: other objects go behind or into
something."""

_TRACK_FRAMES = 3
"""Frames in which an object was seen before its end counts: a box of one frame may have been wrong."""

_MOST = 500
"""Largest number of objects that are followed, those seen last."""

_SMOOTH_S = 0.2
"""Time in seconds over which the velocity of an object is averaged, as its box jitters."""


@dataclass(frozen=True, slots=True, eq=False)
class _Objects:
    """Objects, one row each.

    Attributes:
        boxes: Where they were seen last.
        velocity: float32 (N, 2), pixels a second.
        frames: int64 (N,), frames in which they were seen.
        seen_s: float64 (N,), when they were seen last.
    """

    boxes: Detections
    velocity: NDArray[np.float32]
    frames: NDArray[np.int64]
    seen_s: NDArray[np.float64]

    @classmethod
    def new(cls, boxes: Detections, time_s: float) -> _Objects:
        count = len(boxes)
        velocity = np.zeros((count, 2), np.float32)
        return cls(boxes, velocity, np.ones(count, np.int64), np.full(count, time_s))

    def __len__(self) -> int:
        return len(self.boxes)

    def select(self, rows: NDArray[np.bool_] | slice) -> _Objects:
        return _Objects(self.boxes[rows], self.velocity[rows], self.frames[rows], self.seen_s[rows])

    def join(self, other: _Objects) -> _Objects:
        mine, others = self.boxes, other.boxes
        boxes = Detections(
            np.concatenate((mine.xyxy, others.xyxy)),
            np.concatenate((mine.confidence, others.confidence)),
            np.concatenate((mine.class_id, others.class_id)),
            np.concatenate((_ids(mine), _ids(others))),
        )
        return _Objects(
            boxes,
            np.concatenate((self.velocity, other.velocity)),
            np.concatenate((self.frames, other.frames)),
            np.concatenate((self.seen_s, other.seen_s)),
        )

    def at(self, time_s: float) -> NDArray[np.float32]:
        """Predict the boxes at a time, float32 (N, 4) xyxy."""
        way = self.velocity * (time_s - self.seen_s)[:, None]
        return np.asarray(self.boxes.xyxy + np.tile(way, 2), np.float32)


class BrokenTracks(TemporalSign):
    """Probability that an object is missing or a box is wrong, as the tracks through a frame tell.

    An object of the frames before and after that this one lacks is missing as surely as both are right. A
    box that neither of them has is wrong as surely as its score says. An object that vanishes away from the
    border and from other boxes is missing every other time. Ids of a tracker join what moves too far.
    """

    def __init__(self) -> None:
        """Start without a frame."""
        self._objects = _Objects.new(Detections.empty(), 0.0)

    def judge(self, around: Neighborhood) -> float | None:
        """Follow the objects through this frame to the one after, if that is known."""
        now = _Objects.new(around.found, around.time_s)
        if around.before is None:
            self._objects = now
            return None
        links = link(self._objects.boxes, self._objects.at(around.time_s), around.found)
        _continue(self._objects, links, now)
        missing = self._objects.select(links < 0)
        missing = missing.select(around.time_s - missing.seen_s < _LOST_S)
        new = np.ones(len(now), bool)
        new[links[links >= 0]] = False
        doubts = _ends(missing, around)
        flashes = np.zeros(len(now), np.float32)
        if around.after is not None and (len(missing) or new.any()):
            after_s = around.time_s + around.after_s
            doubts = np.maximum(doubts, _gaps(missing, now, around.after, after_s))
            flashes = _flashes(now, new, around.after, after_s) * _inside(now, around)
        self._objects = missing.join(now).select(slice(-_MOST, None))
        return any_of([*doubts.tolist(), *flashes.tolist()])


def _continue(objects: _Objects, links: NDArray[np.int64], now: _Objects) -> None:
    """Give boxes of now the history of the objects that they continue."""
    rows = links[links >= 0]
    if not rows.size:
        return
    earlier = objects.select(links >= 0)
    step_s = (now.seen_s[rows] - earlier.seen_s)[:, None]
    way = now.boxes.xyxy[rows] - earlier.boxes.xyxy
    velocity = (way[:, :2] + way[:, 2:]) / 2 / step_s
    share = np.maximum(1 / earlier.frames[:, None], step_s / (step_s + _SMOOTH_S))
    now.velocity[rows] = earlier.velocity + share * (velocity - earlier.velocity)
    now.frames[rows] = earlier.frames + 1


def _gaps(missing: _Objects, now: _Objects, after: Detections, after_s: float) -> NDArray[np.float32]:
    """Probability of each missing object that it is there: the frame after shows it again, float32 (N,)."""
    taken = link(now.boxes, now.at(after_s), after)
    free = np.ones(len(after), bool)
    free[taken[taken >= 0]] = False
    others = after[free]
    back = link(missing.boxes, missing.at(after_s), others)
    there = np.zeros(len(missing), np.float32)
    there[back >= 0] = np.minimum(missing.boxes.confidence[back >= 0], others.confidence[back[back >= 0]])
    return there


def _ends(missing: _Objects, around: Neighborhood) -> NDArray[np.float32]:
    """Probability of each missing object that it is there: it cannot just leave from its place."""
    place = missing.at(around.time_s)
    stays = away_from_all(place, around.size, around.found.xyxy) & (missing.frames >= _TRACK_FRAMES)
    left = 1 - (around.time_s - missing.seen_s) / _LOST_S
    return np.asarray(stays * _ENDS_WRONGLY * missing.boxes.confidence * left, np.float32)


def _flashes(now: _Objects, new: NDArray[np.bool_], after: Detections, after_s: float) -> NDArray[np.float32]:
    """Probability of each box that it is wrong, as neither the frame before nor the one after has it."""
    ends = link(now.boxes, now.at(after_s), after) < 0
    return np.asarray((new & ends) * (1 - now.boxes.confidence.clip(0, 1)), np.float32)


def _inside(now: _Objects, around: Neighborhood) -> NDArray[np.bool_]:
    """True for boxes away from the border, where objects come and go."""
    return away_from_all(now.boxes.xyxy, around.size, np.empty((0, 4), np.float32))


def _ids(boxes: Detections) -> NDArray[np.int64]:
    return np.full(len(boxes), -1, np.int64) if boxes.tracker_id is None else boxes.tracker_id
