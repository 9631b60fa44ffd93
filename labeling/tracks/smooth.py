"""Smoothing of labels along tracks: class, score, box, gaps and flicker."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from edgeloop.edge.frames.folder import FrameEntry
from edgeloop.labeling.ledger import FrameResult, Label
from edgeloop.labeling.tracks.link import LinkedFrame, Sighting, Track, linked
from edgeloop.labeling.tracks.persistence import Persistence
from edgeloop.labeling.tracks.smooth_boxes import smooth_box
from edgeloop.models.boxes import iou_matrix

__all__ = ["fit_persistence", "smooth_labels"]

_FREE_IOU = 0.5  # a hole is filled only where no other label overlaps more than this
_STEADY_SHARE = 0.5  # of a frame's other labels must be seen next to it before a lone one is called flicker
_DOUBT_SHARE = 0.5  # from this share of the confidence on, a label left out is worth a person's look


def fit_persistence(results: Iterable[tuple[FrameEntry, FrameResult]]) -> Persistence:
    """Fit how much longer right labels stay in view than wrong ones.

    Args:
        results: Each frame and what came of it, in the order in which they were taken.

    Returns:
        What that says about a label.
    """
    persistence = Persistence()
    for frame in linked(results):
        if frame.neighbors and not frame.result.by_person:
            for sighting in frame.sightings:
                around = sighting.track.around(frame.number)
                persistence.observe(_voted(around)[1], _share_seen(around, frame))
    return persistence


def smooth_labels(
    results: Iterable[tuple[FrameEntry, FrameResult]], persistence: Persistence, *, confidence: float
) -> Iterator[FrameResult]:
    """Smooth the labels of each frame by those of the frames around it.

    A label's class becomes the one with most of the scores along its track, its score their mean, raised or
    lowered by how long the track is seen. What was unsure alone may so become sure, and the other way round;
    what only one frame shows, while most of its labels go on, is flicker and becomes unsure; a hole of one
    frame is filled. Boxes are steadied along their tracks; a mask stays what SAM saw in its frame. A frame
    that a person drew on stays as it is, and has its say.

    Args:
        results: Each frame and what came of it, in the order in which they were taken.
        persistence: Learned from them.
        confidence: Least score of a label, in [0, 1].

    Yields:
        The results, in the same order. Memory does not grow with their number.
    """
    for frame in linked(results):
        if frame.result.problem is not None or frame.result.by_person:
            yield frame.result
        else:
            yield _settled(frame, persistence, confidence)


def _settled(frame: LinkedFrame, persistence: Persistence, confidence: float) -> FrameResult:
    labels: list[Label] = []
    unsure: list[Label] = []
    for sighting in frame.sightings:
        class_id, score = _judged(sighting.track, frame, persistence)
        own = {"class_id": class_id, "score": score, "xyxy": _steadied(sighting.track, frame)}
        label = sighting.label.model_copy(update=own)
        if label.score >= confidence and not _is_flicker(sighting, frame):
            labels.append(label)
        elif label.score >= _DOUBT_SHARE * confidence:
            unsure.append(label)
    labels += _missing(frame, labels, persistence, confidence)
    labels.sort(key=lambda label: -label.score)
    return frame.result.model_copy(update={"labels": tuple(labels), "unsure": tuple(unsure)})


def _judged(track: Track, frame: LinkedFrame, persistence: Persistence) -> tuple[int, float]:
    """Class and score of an object in a frame, seen there or not."""
    around = track.around(frame.number)
    class_id, score = _voted(around)
    if frame.neighbors:
        score = persistence.judged(score, _share_seen(around, frame))
    return class_id, round(score, 4)


def _steadied(track: Track, frame: LinkedFrame) -> tuple[float, float, float, float]:
    """Box of an object in a frame, seen there or not."""
    size = (frame.result.width, frame.result.height)
    x1, y1, x2, y2 = smooth_box(track.around(frame.number), frame.number, size).tolist()
    return round(x1, 2), round(y1, 2), round(x2, 2), round(y2, 2)


def _share_seen(around: Sequence[Sighting], frame: LinkedFrame) -> float:
    """Of the frames that have a say, in how many an object is seen."""
    return len(around) / (1 + frame.neighbors)


def _voted(around: Sequence[Sighting]) -> tuple[int, float]:
    """The class with most of the scores, the lower one of two with as many; and its mean score."""
    votes: dict[int, float] = {}
    for label in (sighting.label for sighting in around):
        votes[label.class_id] = votes.get(label.class_id, 0.0) + label.score
    class_id = max(votes, key=lambda number: (votes[number], -number))
    return class_id, votes[class_id] / len(around)


def _is_flicker(sighting: Sighting, frame: LinkedFrame) -> bool:
    """True if a label has no neighbor in time, in a frame whose other labels have one."""
    if sighting.goes_on:
        return False
    sure = frame.sightings[: len(frame.result.labels)]
    others = [other for other in sure if other is not sighting]
    return bool(others) and sum(other.goes_on for other in others) >= _STEADY_SHARE * len(others)


def _missing(
    frame: LinkedFrame, labels: Sequence[Label], persistence: Persistence, confidence: float
) -> Iterator[Label]:
    """Labels for objects that are seen right before and right after, but not in this frame."""
    taken = np.array([label.xyxy for label in labels], np.float32).reshape(-1, 4)
    for track in frame.tracks:
        near = {sighting.frame - frame.number for sighting in track.around(frame.number)}
        if 0 in near or not {-1, 1} <= near:
            continue
        class_id, score = _judged(track, frame, persistence)
        box = _steadied(track, frame)
        free = iou_matrix(np.array([box], np.float32), taken).max(initial=0) <= _FREE_IOU
        if free and score >= confidence:
            yield Label(xyxy=box, class_id=class_id, score=score, prompt="linked", sam_score=0.0)
