"""Selection of sharp frames that differ from the last ones kept."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from statistics import median

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.frame import Source
from edgeloop.edge.frames.folder import FrameWriter, SourceClock
from edgeloop.edge.sources import open_source
from edgeloop.labeling.frames.perceptual_hash import perceptual_hash, to_gray
from edgeloop.labeling.step_progress import Progress, no_progress
from edgeloop.models.errors import NoInputError

__all__ = ["CollectPlan", "CollectReport", "FrameSelector", "Verdict", "collect_frames", "collect_source"]

_SHARPNESS_WINDOW = 61
_RECENT = 16


class Verdict(Enum):
    """Outcome of a frame."""

    KEPT = "kept"
    BLURRED = "blurred"
    REPEATED = "repeated"


class FrameSelector:
    """Selects frame by frame, in bounded memory."""

    def __init__(self, min_sharpness: float, min_difference: int) -> None:
        """Set the thresholds.

        Args:
            min_sharpness: Minimum variance of the Laplacian, relative to its running median; 0 keeps all.
            min_difference: Minimum Hamming distance in bits (of 256) between the perceptual hash of a frame
                and those of the last frames kept; 0 keeps all.
        """
        self._min_sharpness = min_sharpness
        self._min_difference = min_difference
        self._sharpness: deque[float] = deque(maxlen=_SHARPNESS_WINDOW)
        self._kept: deque[NDArray[np.bool_]] = deque(maxlen=_RECENT)

    def offer(self, image: NDArray[np.uint8]) -> Verdict:
        """Decide about the next frame, HxWx3 uint8 BGR: KEPT, or the reason to drop it."""
        gray = to_gray(image)
        sharpness = float(cv2.Laplacian(gray, cv2.CV_32F).var())
        self._sharpness.append(sharpness)
        if sharpness < self._min_sharpness * median(self._sharpness):
            return Verdict.BLURRED
        if self._min_difference > 0:
            code = perceptual_hash(gray)
            if any(np.count_nonzero(code != other) < self._min_difference for other in self._kept):
                return Verdict.REPEATED
            self._kept.append(code)
        return Verdict.KEPT


@dataclass(frozen=True)
class CollectPlan:
    """Settings of the frame selection.

    Attributes:
        count: Stop after this many kept frames; None for all.
        every_s: Minimum seconds between two frames that are considered; ignored by sources without times.
        stride: Consider every `stride`-th frame only.
        min_sharpness: See `FrameSelector`.
        min_difference: See `FrameSelector`.
    """

    count: int | None = None
    every_s: float = 0.0
    stride: int = 1
    min_sharpness: float = 0.5
    min_difference: int = 12


@dataclass(frozen=True, slots=True)
class CollectReport:
    """Counts of a source's frames.

    Attributes:
        read: Frames that the source delivered.
        kept: Frames written.
        blurred: Frames dropped for low sharpness.
        repeated: Frames dropped for similarity to one of the last kept frames.
    """

    read: int
    kept: int
    blurred: int
    repeated: int


def collect_source(
    address: str, folder: Path, plan: CollectPlan, *, progress: Progress = no_progress
) -> CollectReport:
    """Open a source as `edgeloop.open_source` does, and collect its frames with `collect_frames`.

    Raises:
        EdgeloopError: The source cannot be opened, or see `collect_frames`.
    """
    with open_source(address) as source, progress(plan.count or source.length, "Collecting") as advance:
        return collect_frames(source, folder, plan, advance=advance)


def collect_frames(
    source: Source,
    folder: Path,
    plan: CollectPlan,
    *,
    advance: Callable[[int], None] = lambda _: None,
) -> CollectReport:
    """Write the sharp, different frames of an open source.

    Each frame is on disk before the next one is read, so an interrupted run loses nothing.

    Args:
        source: An open source.
        folder: Folder for the frames: new, empty, or with frames that were collected; these are added to.
        plan: Settings of the selection.
        advance: Called after each frame with the steps done: frames kept if `plan.count` is given, else
            frames read.

    Raises:
        DataError: The folder holds something else.
        NoInputError: The source ended without a frame, or without one worth keeping.
        UnavailableError: The folder or a frame cannot be written.
    """
    selector = FrameSelector(plan.min_sharpness, plan.min_difference)
    clock = SourceClock(source)
    counts = Counter[Verdict]()
    read, due_s = 0, -math.inf
    with FrameWriter(folder, append=True) as writer:
        for frame in source:
            time_s = clock.time_s(frame)
            verdict = None
            if read % plan.stride == 0 and not time_s < due_s:  # NaN is always due
                due_s = time_s + plan.every_s
                verdict = selector.offer(frame.image)
                counts[verdict] += 1
                if verdict is Verdict.KEPT:
                    writer.add(frame.image, clock.entry(frame, time_s))
            read += 1
            advance(int(verdict is Verdict.KEPT) if plan.count is not None else 1)
            if counts[Verdict.KEPT] == plan.count:
                break
    if not read:
        raise NoInputError(f"source {source.name}: ended without a frame")
    if not counts[Verdict.KEPT]:
        raise NoInputError(
            f"source {source.name}: not one of {read} frames was kept, {counts[Verdict.BLURRED]} were taken "
            "for blurred; keep them with a lower --min-sharpness, or all with --keep-all"
        )
    return CollectReport(read, counts[Verdict.KEPT], counts[Verdict.BLURRED], counts[Verdict.REPEATED])
