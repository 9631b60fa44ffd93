"""Linking of boxes into tracks.

They are linked by overlap, with the motion so far carried on. Between frames that do not follow each other
closely tracks are cut.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from edgeloop.edge.frames.folder import FrameEntry
from edgeloop.labeling.ledger import FrameResult, Label
from edgeloop.models.boxes import iou_matrix

__all__ = ["REACH", "LinkedFrame", "Sighting", "Track", "linked"]

REACH = 4
"""Frames before and after that have a say."""

_LINK_IOU = 0.3
_NEIGHBOR_S = 0.5  # frames farther apart in time show other objects in the same places
_LINKED_SHARE = 0.5  # of the labels of two neighboring frames are linked, or they are no neighbors
_SKIPPED = 1  # frames in which a tracked object may be missing


@dataclass(slots=True, eq=False)
class Track:
    """One object over the last frames.

    Attributes:
        seen: The last sightings, oldest first.
    """

    seen: deque[Sighting] = field(default_factory=deque)

    def expected_box(self, frame: int) -> NDArray[np.float32]:
        """float32 (4,) xyxy, where the object should be by the motion between its last two sightings."""
        last = self.seen[-1]
        box = np.array(last.label.xyxy, np.float32)
        if len(self.seen) < 2:
            return box
        before = self.seen[-2]
        step = (box - np.array(before.label.xyxy, np.float32)) / (last.frame - before.frame)
        return np.asarray(box + np.tile((step[:2] + step[2:]) / 2, 2) * (frame - last.frame), np.float32)

    def around(self, frame: int) -> list[Sighting]:
        """Sightings that have a say in a frame."""
        return [sighting for sighting in self.seen if abs(sighting.frame - frame) <= REACH]


@dataclass(frozen=True, slots=True, eq=False)
class Sighting:
    """One object in one frame.

    Attributes:
        frame: Number of the frame.
        label: What was said about it there.
        track: The object.
    """

    frame: int
    label: Label
    track: Track

    @property
    def goes_on(self) -> bool:
        """True if the object is also seen in a neighboring frame."""
        return any(0 < abs(other.frame - self.frame) <= 1 + _SKIPPED for other in self.track.seen)


@dataclass(frozen=True, slots=True, eq=False)
class LinkedFrame:
    """A frame whose neighbors on both sides are linked.

    Attributes:
        number: Of the frame.
        result: What came of it.
        sightings: In the order of its labels, then of its unsure ones.
        neighbors: How many frames before and after have a say in it.
        tracks: Objects seen around it.
    """

    number: int
    result: FrameResult
    sightings: Sequence[Sighting]
    neighbors: int
    tracks: Sequence[Track]


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    """A frame of which those after it are not known yet; it is linked to none before number `cut`."""

    number: int
    result: FrameResult
    sightings: Sequence[Sighting]
    cut: int


def linked(results: Iterable[tuple[FrameEntry, FrameResult]]) -> Iterator[LinkedFrame]:
    """Link the objects of neighboring frames.

    Args:
        results: Each frame and what came of it, in the order in which they were taken.

    Yields:
        The frames in the same order, each when the frames around it are known. Memory does not grow with
        their number.
    """
    linker = _Linker()
    before: FrameEntry | None = None
    for entry, result in results:
        if before is not None and not _follows(before, entry):
            yield from linker.flush()
        yield from linker.add(result)
        before = entry
    yield from linker.flush()


def _follows(before: FrameEntry, after: FrameEntry) -> bool:
    """True if two frames may be neighbors; their labels decide."""
    if before.source != after.source:
        return False
    return before.time_s is None or after.time_s is None or 0 <= after.time_s - before.time_s <= _NEIGHBOR_S


class _Linker:
    """Tracks of one source; gives a frame back when enough frames after it are known."""

    def __init__(self) -> None:
        self._count = 0
        self._cut = 0
        self._tracks: list[Track] = []
        self._waiting: deque[_Waiting] = deque()

    def add(self, result: FrameResult) -> Iterator[LinkedFrame]:
        """Link a frame to those before; yields the frame that has now been seen from both sides, if any."""
        number, self._count = self._count, self._count + 1
        oldest = max(self._cut, number - 1 - _SKIPPED)
        live = [track for track in self._tracks if track.seen[-1].frame >= oldest]
        labels = (*result.labels, *result.unsure)
        continued = _continued(labels, live, number)
        if not self._is_neighbor(result, continued):
            continued, self._cut = [None] * len(labels), number
        sightings = []
        for label, track in zip(labels, continued, strict=True):
            sighting = Sighting(number, label, track or Track())
            if track is None:
                self._tracks.append(sighting.track)
            sighting.track.seen.append(sighting)
            sightings.append(sighting)
        self._waiting.append(_Waiting(number, result, sightings, self._cut))
        if len(self._waiting) > REACH:
            yield self._next()
            self._forget(before=self._waiting[0].number - REACH)

    def flush(self) -> Iterator[LinkedFrame]:
        """Yield the frames that still wait, and start anew."""
        while self._waiting:
            yield self._next()
        self._tracks, self._count, self._cut = [], 0, 0

    def _next(self) -> LinkedFrame:
        frame = self._waiting.popleft()
        before = frame.number - max(frame.number - REACH, frame.cut)
        after = sum(later.cut <= frame.number for later in self._waiting)
        return LinkedFrame(frame.number, frame.result, frame.sightings, before + after, self._tracks)

    def _is_neighbor(self, result: FrameResult, continued: Sequence[Track | None]) -> bool:
        """True if enough labels of this frame and the previous one are linked."""
        if not self._waiting:
            return True
        sure = len(result.labels)
        fewer = min(sure, len(self._waiting[-1].result.labels))
        return sum(track is not None for track in continued[:sure]) >= _LINKED_SHARE * fewer

    def _forget(self, *, before: int) -> None:
        for track in self._tracks:
            while len(track.seen) > 2 and track.seen[0].frame < before:
                track.seen.popleft()
        self._tracks = [track for track in self._tracks if track.seen[-1].frame >= before]


def _continued(labels: Sequence[Label], tracks: Sequence[Track], frame: int) -> list[Track | None]:
    """The track that each label goes on with, or None; the best assignment over all of them."""
    found: list[Track | None] = [None] * len(labels)
    if not labels or not tracks:
        return found
    boxes = np.array([label.xyxy for label in labels], np.float32)
    iou = iou_matrix(boxes, np.stack([track.expected_box(frame) for track in tracks]))
    for row, column in zip(*linear_sum_assignment(iou, maximize=True), strict=True):
        if iou[row, column] >= _LINK_IOU:
            found[row] = tracks[column]
    return found
