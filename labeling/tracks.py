"""What neighbouring frames say about each other: one class along a track, no flicker, no holes.

Objects of neighbouring frames are linked by overlap, with the motion so far carried on, and each is then
judged by all that was seen of it within some frames before and after. Between frames that do not follow each
other closely tracks are cut, and what one frame shows stands for itself.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from edge.frames import FrameEntry
from labeling.ledger import FrameResult, Label
from models.boxes import iou_matrix

__all__ = ["settle"]

_REACH = 8  # frames before and after that have a say
_LINK_IOU = 0.3
_NEIGHBOUR_S = 0.5  # frames farther apart in time show other objects in the same places
_LINKED_SHARE = 0.5  # of the labels of two neighbouring frames are linked, or they are no neighbours
_SKIPPED = 1  # frames in which a tracked object may be missing
_FREE_IOU = 0.5  # a hole is filled only where no other label overlaps more than this
_STEADY_SHARE = 0.5  # of a frame's other labels must be seen next to it before a lone one is called flicker


@dataclass(slots=True, eq=False)
class _Track:
    """One object over the last frames.

    Attributes:
        seen: The last sightings, oldest first.
    """

    seen: deque[_Sighting] = field(default_factory=deque)

    def expected_box(self, frame: int) -> NDArray[np.float32]:
        """float32 (4,) xyxy, where the object should be by the motion between its last two sightings."""
        last = self.seen[-1]
        box = np.array(last.label.xyxy, np.float32)
        if len(self.seen) < 2:
            return box
        before = self.seen[-2]
        step = (box - np.array(before.label.xyxy, np.float32)) / (last.frame - before.frame)
        return np.asarray(box + np.tile((step[:2] + step[2:]) / 2, 2) * (frame - last.frame), np.float32)

    def around(self, frame: int) -> list[_Sighting]:
        """Sightings that have a say in a frame."""
        return [sighting for sighting in self.seen if abs(sighting.frame - frame) <= _REACH]


@dataclass(frozen=True, slots=True, eq=False)
class _Sighting:
    """One object in one frame."""

    frame: int
    label: Label
    track: _Track


@dataclass(frozen=True, slots=True, eq=False)
class _Frame:
    """A frame that waits; its sightings are in the order of its labels, then of its unsure ones."""

    number: int
    result: FrameResult
    sightings: Sequence[_Sighting]


def settle(results: Iterable[tuple[FrameEntry, FrameResult]], *, confidence: float) -> Iterator[FrameResult]:
    """Judge the labels of each frame by those of the frames around it.

    A label's score becomes the mean along its track, its class the one with most of the scores there. What
    was unsure alone may so become sure, and the other way round; what only one frame shows, while most of
    its labels go on, is flicker and becomes unsure; a hole of one frame is filled. A frame that a person drew
    on stays as it is, and has its say.

    Args:
        results: Each frame and what came of it, in the order in which they were taken.
        confidence: Least score of a label, in [0, 1].

    Yields:
        The results, in the same order. Memory does not grow with their number.
    """
    linker = _Linker(confidence)
    before: FrameEntry | None = None
    for entry, result in results:
        if before is not None and not _follows(before, entry):
            yield from linker.flush()
        yield from linker.add(result)
        before = entry
    yield from linker.flush()


def _follows(before: FrameEntry, after: FrameEntry) -> bool:
    """Whether two frames may be neighbours; the labels on them have the last word."""
    if before.source != after.source:
        return False
    return before.time_s is None or after.time_s is None or 0 <= after.time_s - before.time_s <= _NEIGHBOUR_S


class _Linker:
    """Tracks of one source; gives a frame back when enough frames after it are known."""

    def __init__(self, confidence: float) -> None:
        self._confidence = confidence
        self._count = 0
        self._cut = 0
        self._tracks: list[_Track] = []
        self._waiting: deque[_Frame] = deque()

    def add(self, result: FrameResult) -> Iterator[FrameResult]:
        """Link a frame to those before; yields the frame that has now been seen from both sides, if any."""
        number, self._count = self._count, self._count + 1
        oldest = max(self._cut, number - 1 - _SKIPPED)
        live = [track for track in self._tracks if track.seen[-1].frame >= oldest]
        labels = (*result.labels, *result.unsure)
        linked = _linked(labels, live, number)
        if not self._is_neighbour(result, linked):
            linked, self._cut = [None] * len(labels), number
        sightings = []
        for label, track in zip(labels, linked, strict=True):
            sighting = _Sighting(number, label, track or _Track())
            if track is None:
                self._tracks.append(sighting.track)
            sighting.track.seen.append(sighting)
            sightings.append(sighting)
        self._waiting.append(_Frame(number, result, sightings))
        if len(self._waiting) > _REACH:
            yield self._settled(self._waiting.popleft())
            self._forget(before=self._waiting[0].number - _REACH)

    def flush(self) -> Iterator[FrameResult]:
        """Yield the frames that still wait, and start anew."""
        while self._waiting:
            yield self._settled(self._waiting.popleft())
        self._tracks, self._count, self._cut = [], 0, 0

    def _is_neighbour(self, result: FrameResult, linked: Sequence[_Track | None]) -> bool:
        """Whether enough of the surer labels of this frame and the one before are the same objects."""
        if not self._waiting:
            return True
        sure = len(result.labels)
        fewer = min(sure, len(self._waiting[-1].result.labels))
        return sum(track is not None for track in linked[:sure]) >= _LINKED_SHARE * fewer

    def _forget(self, *, before: int) -> None:
        for track in self._tracks:
            while len(track.seen) > 2 and track.seen[0].frame < before:
                track.seen.popleft()
        self._tracks = [track for track in self._tracks if track.seen[-1].frame >= before]

    def _settled(self, frame: _Frame) -> FrameResult:
        if frame.result.problem is not None or frame.result.by_person:
            return frame.result
        labels: list[Label] = []
        unsure: list[Label] = []
        for sighting in frame.sightings:
            label = _voted(sighting)
            sure = label.score >= self._confidence and not self._is_flicker(sighting, frame)
            (labels if sure else unsure).append(label)
        labels += self._missing(frame, labels)
        labels.sort(key=lambda label: -label.score)
        return frame.result.model_copy(update={"labels": tuple(labels), "unsure": tuple(unsure)})

    def _is_flicker(self, sighting: _Sighting, frame: _Frame) -> bool:
        """Whether nothing was there before and after, in a frame whose other labels are seen there."""
        if _goes_on(sighting):
            return False
        sure = frame.sightings[: len(frame.result.labels)]
        others = [other for other in sure if other is not sighting]
        return bool(others) and sum(map(_goes_on, others)) >= _STEADY_SHARE * len(others)

    def _missing(self, frame: _Frame, labels: Sequence[Label]) -> Iterator[Label]:
        """Labels for sure objects that are seen right before and right after, but not in this frame."""
        taken = np.array([label.xyxy for label in labels], np.float32).reshape(-1, 4)
        for track in self._tracks:
            near = {sighting.frame - frame.number: sighting for sighting in track.around(frame.number)}
            if 0 in near or not {-1, 1} <= near.keys():
                continue
            before, after = _voted(near[-1]), _voted(near[1])
            box = (np.array(before.xyxy) + np.array(after.xyxy)) / 2
            free = iou_matrix(box[None].astype(np.float32), taken).max(initial=0) <= _FREE_IOU
            if free and min(before.score, after.score) >= self._confidence:
                x1, y1, x2, y2 = (round(side, 2) for side in box.tolist())
                yield Label(
                    xyxy=(x1, y1, x2, y2),
                    class_id=before.class_id,
                    score=before.score,
                    prompt="linked",
                    sam_score=0.0,
                )


def _linked(labels: Sequence[Label], tracks: Sequence[_Track], frame: int) -> list[_Track | None]:
    """The track that each label goes on with, or None; the best assignment over all of them."""
    found: list[_Track | None] = [None] * len(labels)
    if not labels or not tracks:
        return found
    boxes = np.array([label.xyxy for label in labels], np.float32)
    iou = iou_matrix(boxes, np.stack([track.expected_box(frame) for track in tracks]))
    for row, column in zip(*linear_sum_assignment(iou, maximize=True), strict=True):
        if iou[row, column] >= _LINK_IOU:
            found[row] = tracks[column]
    return found


def _goes_on(sighting: _Sighting) -> bool:
    """Whether the object is also seen in a neighbouring frame."""
    return any(0 < abs(other.frame - sighting.frame) <= 1 + _SKIPPED for other in sighting.track.seen)


def _voted(sighting: _Sighting) -> Label:
    """The label with score and class of its track around it."""
    around = [other.label for other in sighting.track.around(sighting.frame)]
    votes: dict[int, float] = {}
    for label in around:
        votes[label.class_id] = votes.get(label.class_id, 0.0) + label.score
    class_id = max(votes, key=lambda number: (votes[number], number == sighting.label.class_id))
    score = round(votes[class_id] / len(around), 4)
    return sighting.label.model_copy(update={"class_id": class_id, "score": score})
