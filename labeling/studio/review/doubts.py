"""Labels that may be wrong and objects that may be missed, with the probability of an error."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edgeloop.labeling.dataset.decisions import HUMAN
from edgeloop.labeling.dataset.device_doubts import NO_DEVICE, DeviceDoubts
from edgeloop.labeling.ledger import FrameResult, Label
from edgeloop.models.boxes import iou_matrix

__all__ = ["Doubt", "find_doubts"]

_SAME_IOU = 0.5
_CONFLICT_IOU = 0.7  # of labels that may be one object
_CONFLICT = 0.5  # probability that one of them is wrong
_LEAST, _MOST = 0.002, 0.9
_MISS = 0.6  # probability that an object is at a place at which a frame beside shows one, if all stay there
_NEAR_FRAMES = 5  # of the source, as `edgeloop stats` takes them for neighbors

Kind = Literal["label", "unsure", "miss"]


@dataclass(frozen=True, slots=True)
class Doubt:
    """Label that may be wrong, or object that may be missed.

    Attributes:
        kind: "label" of the dataset; "unsure" of review.json; "miss" if a frame beside shows an object.
        file: Name of the frame.
        name: Class name.
        xyxy: Box in pixels of the frame.
        object_probability: Probability that this is an object of that class.
        device: "missed" if a device has no box there; "alone" if only the device has one; "" otherwise.
    """

    kind: Kind
    file: str
    name: str
    xyxy: tuple[float, float, float, float]
    object_probability: float
    device: Literal["", "missed", "alone"] = ""

    @property
    def error_probability(self) -> float:
        """Probability that the dataset is wrong here."""
        found = self.object_probability
        return 1 - found if self.kind == "label" else found


def find_doubts(
    results: Mapping[str, FrameResult],
    names: Sequence[str],
    recordings: Sequence[Sequence[tuple[str, int]]],
    device: DeviceDoubts = NO_DEVICE,
) -> list[Doubt]:
    """List the doubts of a dataset: first what a device missed, then the most probable errors.

    Args:
        results: Labels as they were found, by name of the frame.
        names: Class names.
        recordings: Name and index in its source of each frame, in order of time, for each recording of film.
        device: Where a device disagrees; nowhere if none was asked.
    """
    missed = {(own.file, own.name, own.xyxy) for own in device.missed}
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
    doubts = [
        replace(own, device="missed") if (own.file, own.name, own.xyxy) in missed else own for own in doubts
    ]
    doubts += [
        Doubt("miss", own.file, own.name, own.xyxy, own.probability, "alone")
        for own in device.alone
        if own.file in results and own.name in names and not results[own.file].by_person
    ]
    return sorted(
        doubts,
        key=lambda own: (own.device != "missed", -own.error_probability, own.file, own.xyxy),
    )


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
    """Places without a label at which the frame before or after shows an object.

    If objects of a class seldom stay at their place from frame to frame, that says nothing.
    """
    pairs = _neighbors(recording)
    staying = _staying(pairs, results, len(names))
    found: list[Doubt] = []
    for file, others in pairs.items():
        result = results[file]
        if result.by_person:
            continue
        taken = [*result.labels, *result.unsure]
        beside = [label for other in others for label in results[other].labels]
        for label in sorted(beside, key=lambda own: -own.score):
            likely = _MISS * label.score * staying[label.class_id] ** 2
            box = np.array([label.xyxy], np.float32)
            if likely < _LEAST or (iou_matrix(box, _boxes(taken)) >= _SAME_IOU / 2).any():
                continue
            taken.append(label)
            found.append(Doubt("miss", file, names[label.class_id], label.xyxy, likely))
    return found


def _neighbors(recording: Sequence[tuple[str, int]]) -> dict[str, list[str]]:
    """Frames before and after each frame, unless there is a gap in the film."""
    neighbors: dict[str, list[str]] = {file: [] for file, _ in recording}
    steps = np.diff([index for _, index in recording])
    usual = float(np.median(steps)) if len(steps) else 0.0
    for (before, first), (after, last) in itertools.pairwise(recording):
        if last - first <= max(2 * usual, _NEAR_FRAMES):
            neighbors[before].append(after)
            neighbors[after].append(before)
    return neighbors


def _staying(
    pairs: Mapping[str, Sequence[str]], results: Mapping[str, FrameResult], classes: int
) -> NDArray[np.float64]:
    """Share of the labels of each class that have one at the same place in a frame beside, (classes,)."""
    stayed, all_of = np.zeros(classes), np.zeros(classes)
    for file, others in pairs.items():
        labels = results[file].labels
        for other in others:
            beside = results[other].labels
            overlap = iou_matrix(_boxes(labels), _boxes(beside)) >= _SAME_IOU
            for row, label in zip(overlap, labels, strict=True):
                all_of[label.class_id] += 1
                stayed[label.class_id] += any(
                    hit and own.class_id == label.class_id for hit, own in zip(row, beside, strict=True)
                )
    return stayed / np.maximum(all_of, 1)


def _boxes(labels: Sequence[Label]) -> NDArray[np.float32]:
    return np.array([label.xyxy for label in labels], np.float32).reshape(-1, 4)
