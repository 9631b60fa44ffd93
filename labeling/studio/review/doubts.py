"""Labels that may be wrong and objects that may be missed, with the probability of an error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from edgeloop.labeling.dataset.decisions import HUMAN
from edgeloop.labeling.ledger import FrameResult, Label
from edgeloop.models.boxes import iou_matrix

__all__ = ["Doubt", "find_doubts"]

_SAME_IOU = 0.5
_CONFLICT_IOU = 0.7  # of labels that may be one object
_CONFLICT = 0.5  # probability that one of them is wrong
_LEAST, _MOST = 0.002, 0.9
_MISS = 0.25  # probability that an object is at a place where both neighbors show one; times their scores
_NEAR_FRAMES = 5  # of the source, as `edgeloop stats` takes them for neighbors

Kind = Literal["label", "unsure", "miss"]


@dataclass(frozen=True, slots=True)
class Doubt:
    """Label that may be wrong, or object that may be missed.

    Attributes:
        kind: "label" of the dataset; "unsure" of review.json; "miss" if neighbors in time show an object.
        file: Name of the frame.
        name: Class name.
        xyxy: Box in pixels of the frame.
        object_probability: Probability that this is an object of that class.
    """

    kind: Kind
    file: str
    name: str
    xyxy: tuple[float, float, float, float]
    object_probability: float

    @property
    def error_probability(self) -> float:
        """Probability that the dataset is wrong here."""
        found = self.object_probability
        return 1 - found if self.kind == "label" else found


def find_doubts(
    results: Mapping[str, FrameResult], names: Sequence[str], recordings: Sequence[Sequence[tuple[str, int]]]
) -> list[Doubt]:
    """List the doubts of a dataset, most probable errors first.

    Args:
        results: Labels as they were found, by name of the frame.
        names: Class names.
        recordings: Name and index in its source of each frame, in order of time, for each recording of film.
    """
    doubts = []
    for file, result in results.items():
        if result.by_person:
            continue
        for label, conflict in zip(result.labels, _conflicts(result.labels), strict=True):
            if label.prompt != HUMAN:
                right = min(label.score, 1 - _CONFLICT if conflict else 1.0)
                doubts.append(_doubt("label", file, names, label, right))
        doubts += [_doubt("unsure", file, names, label, label.score) for label in result.unsure]
    for recording in recordings:
        doubts += _misses(recording, results, names)
    return sorted(doubts, key=lambda doubt: (-doubt.error_probability, doubt.file, doubt.xyxy))


def _doubt(kind: Kind, file: str, names: Sequence[str], label: Label, right: float) -> Doubt:
    return Doubt(kind, file, names[label.class_id], label.xyxy, min(max(right, 1 - _MOST), 1 - _LEAST))


def _conflicts(labels: Sequence[Label]) -> list[bool]:
    """Labels that overlap a surer one so much that both may be one object."""
    boxes = _boxes(labels)
    overlap = iou_matrix(boxes, boxes) >= _CONFLICT_IOU
    scores = np.array([label.score for label in labels])
    surer = scores[None] > scores[:, None]
    return [bool(own.any()) for own in overlap & surer]


def _misses(
    recording: Sequence[tuple[str, int]], results: Mapping[str, FrameResult], names: Sequence[str]
) -> list[Doubt]:
    """Places without a label whose frames before and after show an object there."""
    found = []
    steps = np.diff([index for _, index in recording])
    usual = float(np.median(steps)) if len(steps) else 0.0
    for (before, first), (file, _), (after, last) in zip(
        recording, recording[1:], recording[2:], strict=False
    ):
        if last - first > max(2 * usual, 2 * _NEAR_FRAMES) or results[file].by_person:
            continue
        own = [*results[file].labels, *results[file].unsure]
        later = results[after].labels
        overlap = iou_matrix(_boxes(results[before].labels), _boxes(later))
        for row, label in zip(overlap, results[before].labels, strict=True):
            same = [
                other
                for iou, other in zip(row.tolist(), later, strict=True)
                if iou >= _SAME_IOU and other.class_id == label.class_id
            ]
            if not same:
                continue
            other = max(same, key=lambda one: one.score)
            x1, y1, x2, y2 = (round((a + b) / 2, 2) for a, b in zip(label.xyxy, other.xyxy, strict=True))
            middle = np.array([[x1, y1, x2, y2]], np.float32)
            if own and (iou_matrix(middle, _boxes(own)) >= _SAME_IOU / 2).any():
                continue
            likely = _MISS * label.score * other.score
            found.append(Doubt("miss", file, names[label.class_id], (x1, y1, x2, y2), likely))
    return found


def _boxes(labels: Sequence[Label]) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return np.array([label.xyxy for label in labels], np.float32).reshape(-1, 4)
