"""Rank of mined frames by the expected gain of labeling them."""

from __future__ import annotations

import heapq
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edgeloop.labeling.mining.mined_frame import MinedFrame
from edgeloop.models.boxes import iou_matrix

__all__ = ["rank_frames"]

_LEAST = 0.25  # probability of an object below which its place is as good as empty
_SAME_IOU = 0.5
_AGAIN = 0.5  # gain of the same error once more
_SAME_S = 2.0  # distance in time of frames whose errors of one kind are probably of one object
_MOST_PLACES = 200  # remembered per camera and kind of error


@dataclass(frozen=True, slots=True)
class _Errors:
    """Probable errors of one kind on one frame: misses of a class, or false alarms of it."""

    kind: tuple[bool, int]
    camera: str
    time_s: float  # NaN if unknown
    xyxy: NDArray[np.float32]
    probability: NDArray[np.float64]


@dataclass(slots=True)
class _Chosen:
    """Errors on the frames that were chosen so far."""

    weight: defaultdict[tuple[bool, int], float] = field(default_factory=lambda: defaultdict(float))
    places: defaultdict[tuple[str, tuple[bool, int]], list[tuple[float, NDArray[np.float32]]]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def new(self, errors: _Errors) -> float:
        """Expected number of errors of a frame that the chosen ones do not show already."""
        known = self.places[errors.camera, errors.kind]
        if not known:
            return float(errors.probability.sum())
        near = np.abs(np.array([time_s for time_s, _ in known]) - errors.time_s) <= _SAME_S
        same = iou_matrix(errors.xyxy, np.stack([box for _, box in known])) >= _SAME_IOU
        again = (same | near).sum(axis=1)
        return float((errors.probability * _AGAIN**again).sum())

    def gain(self, frame: Sequence[_Errors]) -> float:
        """Gain of a frame: the tenth error of a kind teaches less than the first."""
        return sum(
            float(np.sqrt(1 + self.weight[own.kind] + self.new(own)) - np.sqrt(1 + self.weight[own.kind]))
            for own in frame
        )

    def add(self, frame: Sequence[_Errors]) -> None:
        for own in frame:
            self.weight[own.kind] += self.new(own)
            places = self.places[own.camera, own.kind]
            places += [(own.time_s, box) for box in own.xyxy]
            del places[:-_MOST_PLACES]


def rank_frames(frames: Sequence[MinedFrame], count: int | None = None) -> list[MinedFrame]:
    """Rank frames by the probable errors of the device that they add to those ranked before them.

    Greedy: kinds of errors (misses and false alarms of each class) that are frequent count less from frame to
    frame. An error of the same kind and camera counts half as much each time at the same place, as of a
    parked car, or within 2 s, as of a car that moved.

    Args:
        frames: The frames.
        count: Number of frames to rank; None for all. Frames without a probable error come last.

    Returns:
        The first `count` frames, best first.
    """
    errors = [_errors(frame) for frame in frames]
    chosen = _Chosen()
    ranked: list[MinedFrame] = []
    heap = [(-chosen.gain(own), place, 0) for place, own in enumerate(errors)]
    heapq.heapify(heap)
    wanted = len(frames) if count is None else min(count, len(frames))
    while heap and len(ranked) < wanted:
        _, place, known = heapq.heappop(heap)
        if known < len(ranked):  # gains only fall, so one that is still the largest is the next
            heapq.heappush(heap, (-chosen.gain(errors[place]), place, len(ranked)))
            continue
        ranked.append(frames[place])
        chosen.add(errors[place])
    return ranked


def _errors(frame: MinedFrame) -> list[_Errors]:
    """Group the probable errors of a frame by kind."""
    line, found, device = frame.entry.frame, frame.found, frame.device
    time_s = next((own for own in (line.wall_time, line.time_s) if own is not None), math.nan)
    missed = frame.missed & (found.confidence >= _LEAST)
    alone = frame.alone
    errors = []
    for class_id in np.union1d(found.class_id[missed], device.class_id[alone]).tolist():
        rows = missed & (found.class_id == class_id)
        if rows.any():
            probability = found.confidence[rows].astype(np.float64)
            errors.append(_Errors((True, class_id), line.source, time_s, found.xyxy[rows], probability))
        rows = alone & (device.class_id == class_id)
        if rows.any():
            probability = device.confidence[rows].astype(np.float64)
            errors.append(_Errors((False, class_id), line.source, time_s, device.xyxy[rows], probability))
    return errors
