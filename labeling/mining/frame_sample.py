"""Sample of mined frames, as arrays that can be drawn from again and again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeloop.labeling.mining.mined_frame import MinedFrame

__all__ = ["FrameSample"]

_FEWEST_BLOCKS = 8


@dataclass(frozen=True, slots=True, eq=False)
class FrameSample:
    """Frames of the random share in the order of cameras and times, with the boxes of one group.

    Attributes:
        weight: float64 (F,), number of frames that each stands for, relative to their mean.
        camera: int64 (F,), number of its camera.
        frame: int64 (N,), frame of each box of the teacher.
        probability: float64 (N,), probability that it is right.
        matched: bool (N,), True if the device has it.
        boxes: int64 (F,), boxes of the device.
        alone: int64 (F,), those that the teacher lacks.
    """

    weight: NDArray[np.float64]
    camera: NDArray[np.int64]
    frame: NDArray[np.int64]
    probability: NDArray[np.float64]
    matched: NDArray[np.bool_]
    boxes: NDArray[np.int64]
    alone: NDArray[np.int64]

    @classmethod
    def of(cls, frames: Sequence[MinedFrame], class_id: int | None = None) -> FrameSample:
        """Collect frames, with the boxes of one class or of all."""
        cameras = sorted({own.entry.frame.source for own in frames})
        weight = np.array([1 / own.entry.inclusion for own in frames])
        shown = [
            np.ones(len(own.found), bool) if class_id is None else own.found.class_id == class_id
            for own in frames
        ]
        of_class = [
            np.ones(len(own.device), bool) if class_id is None else own.device.class_id == class_id
            for own in frames
        ]
        return cls(
            weight=weight / weight.mean() if len(weight) else weight,
            camera=np.array([cameras.index(own.entry.frame.source) for own in frames], np.int64),
            frame=np.repeat(np.arange(len(frames)), [int(rows.sum()) for rows in shown]),
            probability=_joined(
                [own.found.confidence[rows] for own, rows in zip(frames, shown, strict=True)]
            ),
            matched=_joined([~own.missed[rows] for own, rows in zip(frames, shown, strict=True)]) > 0,
            boxes=np.array([int(rows.sum()) for rows in of_class], np.int64),
            alone=np.array(
                [int((own.alone & rows).sum()) for own, rows in zip(frames, of_class, strict=True)]
            ),
        )

    def of_frames(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum values of boxes (N,) by frame (F,)."""
        return np.bincount(self.frame, values, minlength=len(self.weight)).astype(np.float64)

    def block(self) -> int:
        """Number of neighboring frames that are drawn together, as they are alike.

        It is at least the cube root of the number of frames, and twice the distance at which the errors of
        the device stop being correlated.
        """
        count = len(self.weight)
        found, all_of = self.of_frames(self.probability * self.matched), self.of_frames(self.probability)
        residual = found - all_of * found.sum() / max(all_of.sum(), 1e-9)
        longest = max(1, count // _FEWEST_BLOCKS)
        far: int = next((lag for lag in range(1, longest) if not self._correlated(residual, lag)), longest)
        return min(longest, max(math.ceil(math.cbrt(count)), 2 * (far - 1)))

    def _correlated(self, residual: NDArray[np.float64], lag: int) -> bool:
        """True if the residuals (F,) of frames of one camera at this distance are correlated."""
        same = self.camera[lag:] == self.camera[:-lag]
        power = float((residual**2).mean())
        if same.sum() < _FEWEST_BLOCKS or power <= 0:
            return False
        correlation = float((residual[lag:] * residual[:-lag])[same].mean()) / power
        return correlation > 2 / math.sqrt(int(same.sum()))

    def draw(self, count: int, block: int, random: np.random.Generator) -> NDArray[np.float64]:
        """Draw frames again, in blocks of neighbors of one camera (circular block bootstrap).

        Returns:
            float64 (count, F), weight of each frame in each draw.
        """
        drawn = np.zeros((count, len(self.weight)))
        for camera in range(int(self.camera.max(initial=-1)) + 1):
            rows = np.flatnonzero(self.camera == camera)
            size = min(block, len(rows))
            starts = random.integers(len(rows), size=(count, -(-len(rows) // size)))
            places = (starts[..., None] + np.arange(size)).reshape(count, -1)[:, : len(rows)] % len(rows)
            for own, chosen in zip(drawn, places, strict=True):
                own[rows] = np.bincount(chosen, minlength=len(rows))
        return drawn * self.weight


def _joined(parts: Sequence[NDArray[np.generic]]) -> NDArray[np.float64]:
    return np.concatenate([np.zeros(0), *parts]).astype(np.float64)
