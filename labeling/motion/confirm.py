"""Confirmation of moving objects by the frames before and after.

What moves is seen again next to where it was, noise is not. A label's score becomes the mean over the frames
in which it is seen; what both neighbors show is surer, what none shows is less sure. Frames in which most
objects have moved on say nothing about each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from edgeloop.labeling.ledger import FrameResult, Label
from edgeloop.models.boxes import iou_matrix

__all__ = ["confirm_moving"]

_SAME_IOU = 0.3
_LINKED_SHARE = 0.5  # of the labels of two frames must overlap, or they are no neighbors
_ODDS = (0.35, 0.8, 1.6)  # factor of the odds of what no, one or both neighbors show


def confirm_moving(results: Iterable[tuple[int, FrameResult]], *, confidence: float) -> Iterator[FrameResult]:
    """Score the labels of each frame again by its neighbors.

    Args:
        results: Number of the recording and result of each frame, in the order in which they were taken. Only
            frames of one recording are neighbors.
        confidence: Minimum label score, in [0, 1].

    Yields:
        Results in the same order.
    """
    before: tuple[int, FrameResult] | None = None
    frame: tuple[int, FrameResult] | None = None
    for after in chain(results, (None,)):
        if frame is not None:
            beside = [each[1] for each in (before, after) if each is not None and each[0] == frame[0]]
            yield _confirmed(frame[1], beside, confidence)
        before, frame = frame, after


def _confirmed(frame: FrameResult, beside: Sequence[FrameResult], confidence: float) -> FrameResult:
    found = (*frame.labels, *frame.unsure)
    if not beside or not found or frame.by_person:
        return frame
    seen = [[label.score] for label in found]
    neighbors = 0
    for other in beside:
        others = (*other.labels, *other.unsure)
        overlap = iou_matrix(_boxes(found), _boxes(others))
        matched = overlap.max(axis=1, initial=0) >= _SAME_IOU
        fewer = min(len(frame.labels), len(other.labels))
        if not fewer or matched[: len(frame.labels)].sum() < _LINKED_SHARE * fewer:
            continue  # too far apart in time
        neighbors += 1
        for row in np.flatnonzero(matched).tolist():
            seen[row].append(others[int(overlap[row].argmax())].score)
    if not neighbors:
        return frame
    sure: list[Label] = []
    unsure: list[Label] = []
    for label, scores in zip(found, seen, strict=True):
        mean = min(float(np.mean(scores)), 1 - 1e-6)
        odds = mean / (1 - mean) * _ODDS[round(2 * (len(scores) - 1) / neighbors)]
        own = label.model_copy(update={"score": round(odds / (1 + odds), 4)})
        (sure if own.score >= confidence else unsure).append(own)
    sure.sort(key=lambda label: -label.score)
    return frame.model_copy(update={"labels": tuple(sure), "unsure": tuple(unsure)})


def _boxes(labels: Sequence[Label]) -> NDArray[np.float32]:
    return np.array([label.xyxy for label in labels], np.float32).reshape(-1, 4)
