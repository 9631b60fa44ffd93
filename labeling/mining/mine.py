"""Mining of a ring: what a teacher finds there and the device did not, and how much that is of all."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.host.opencv import read_image
from edgeloop.edge.ring.ring_database import Ring
from edgeloop.edge.ring.ring_entry import RingEntry
from edgeloop.labeling.engine.calibration import Calibration
from edgeloop.labeling.engine.coverage import Coverage
from edgeloop.labeling.mining.estimate_recall import DeviceFigures, TeacherErrors, estimate_device
from edgeloop.labeling.mining.frame_sample import FrameSample
from edgeloop.labeling.mining.mined_frame import MinedFrame, compare_boxes
from edgeloop.labeling.mining.rank_frames import rank_frames
from edgeloop.models.detections import Detections

__all__ = ["MinedRing", "RingEstimate", "Teacher", "choose_entries", "compare_ring", "mine_ring"]


class Teacher(Protocol):
    """Detector that looks at frames again; `labeling.engine.engine.Engine` is one."""

    @property
    def calibration(self) -> Calibration:
        """Calibration of its probabilities."""
        ...

    @property
    def coverage(self) -> Coverage | None:
        """Share of the objects that it has any box for; None if unknown."""
        ...

    def detect(self, image: NDArray[np.uint8], /) -> Detections:
        """Detect objects in an image, HxWx3 uint8 BGR; their scores are probabilities."""
        ...


@dataclass(frozen=True, slots=True)
class RingEstimate:
    """Recall and precision of a model on a device, estimated from the random share of its ring.

    Attributes:
        model: Digest of the model; "" if there is no frame of the random share.
        frames: Frames of the random share on which it answered.
        whole: Figures of all.
        by_class: Figures by class name.
        by_camera: Figures by name of the camera; empty with one camera alone.
        by_hour: Figures by hour of day, local time; without frames whose time is unknown.
    """

    model: str
    frames: int
    whole: DeviceFigures
    by_class: Mapping[str, DeviceFigures]
    by_camera: Mapping[str, DeviceFigures]
    by_hour: Mapping[int, DeviceFigures]


@dataclass(frozen=True, slots=True, eq=False)
class MinedRing:
    """Ring that a teacher has looked at.

    Attributes:
        names: Class names of the teacher.
        frames: Frames that it looked at, in the order of the ring.
        estimate: Recall and precision of the device.
        vanished: Frames that the device evicted meanwhile.
        unreadable: Frames whose image cannot be read.
    """

    names: tuple[str, ...]
    frames: tuple[MinedFrame, ...]
    estimate: RingEstimate
    vanished: int
    unreadable: int

    def ranked(self, count: int | None = None) -> list[MinedFrame]:
        """Rank frames by the expected gain of labeling them, as of `rank_frames`."""
        return rank_frames(self.frames, count)


def mine_ring(
    ring: Ring,
    teacher: Teacher,
    names: Sequence[str],
    *,
    top: int | None = None,
    seed: int = 0,
    advance: Callable[[int], None] = lambda _: None,
) -> MinedRing:
    """Let a teacher look at a ring, in this process.

    Args:
        ring: The ring; a device may write to it meanwhile.
        teacher: The teacher.
        names: Its class names.
        top: Number of frames of the ranked share to look at, most doubtful first; None for all.
        seed: Random seed of the intervals.
        advance: Called with 1 after each frame.
    """
    found: dict[str, Detections] = {}
    vanished = unreadable = 0
    entries = choose_entries(ring, top)
    for entry in entries:
        path = ring.path(entry)
        image = read_image(path) if path.is_file() else None
        if image is not None:
            found[entry.frame.file] = teacher.detect(image)
        elif path.exists():
            unreadable += 1
        else:
            vanished += 1
        advance(1)
    errors = TeacherErrors(teacher.calibration.spread, teacher.coverage)
    frames, estimate = compare_ring(ring, entries, found, names, errors, seed=seed)
    return MinedRing(tuple(names), frames, estimate, vanished, unreadable)


def choose_entries(ring: Ring, top: int | None) -> list[RingEntry]:
    """Choose the random share and the most doubtful of the ranked one, in the order of the ring."""
    ranked = sorted((entry for entry in ring.entries if entry.share == "ranked"), key=lambda own: -own.doubt)
    chosen = {entry.frame.file for entry in ranked[:top]}
    return [entry for entry in ring.entries if entry.share == "random" or entry.frame.file in chosen]


def compare_ring(
    ring: Ring,
    entries: Sequence[RingEntry],
    found: Mapping[str, Detections],
    names: Sequence[str],
    errors: TeacherErrors,
    *,
    seed: int,
) -> tuple[tuple[MinedFrame, ...], RingEstimate]:
    """Compare what teacher and device found.

    Args:
        ring: The ring.
        entries: Frames that the teacher was to look at, in the order of the ring.
        found: Boxes of the teacher by file; none for a frame that was gone.
        names: Class names of the teacher.
        errors: Errors of the teacher.
        seed: Random seed of the intervals.
    """
    frames = tuple(
        compare_boxes(entry, found[entry.frame.file], ring.models[entry.model].names, names)
        for entry in entries
        if entry.frame.file in found
    )
    return frames, _estimate(frames, names, errors, seed)


def _estimate(
    frames: Sequence[MinedFrame], names: Sequence[str], errors: TeacherErrors, seed: int
) -> RingEstimate:
    """Estimate the figures of the model that answered last."""
    drawn = [frame for frame in frames if frame.entry.share == "random"]
    last = max(enumerate(drawn), key=lambda one: (_wall_time(one[1]), one[0]), default=None)
    model = "" if last is None else last[1].entry.model
    drawn = [frame for frame in drawn if frame.entry.model == model]
    cameras: dict[str, list[MinedFrame]] = {}
    hours: dict[int, list[MinedFrame]] = {}
    for frame in drawn:
        cameras.setdefault(frame.entry.frame.source, []).append(frame)
        if frame.entry.frame.wall_time is not None:
            hours.setdefault(datetime.fromtimestamp(frame.entry.frame.wall_time).hour, []).append(frame)

    def figures(own: Sequence[MinedFrame], class_id: int | None = None) -> DeviceFigures:
        name = None if class_id is None else names[class_id]
        return estimate_device(FrameSample.of(own, class_id), errors, seed=seed, class_name=name)

    return RingEstimate(
        model=model,
        frames=len(drawn),
        whole=figures(drawn),
        by_class={name: figures(drawn, number) for number, name in enumerate(names)},
        by_camera={name: figures(own) for name, own in sorted(cameras.items())} if len(cameras) > 1 else {},
        by_hour={hour: figures(own) for hour, own in sorted(hours.items())},
    )


def _wall_time(frame: MinedFrame) -> float:
    known = frame.entry.frame.wall_time
    return -math.inf if known is None else known
