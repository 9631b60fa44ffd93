"""Frame in question with the frames around it, and the protocol of the signs that compare them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edgeloop.models.detections import Detections

__all__ = ["NEIGHBORS_S", "Neighborhood", "TemporalSign", "any_of"]

NEIGHBORS_S = 0.5
"""Longest time in seconds between frames that are neighbors; later ones say little about each other."""


@dataclass(frozen=True, slots=True, eq=False)
class Neighborhood:
    """Frame in question, and its neighbors.

    Attributes:
        image: Image of the frame, HxWx3 uint8 BGR.
        found: Detections of the frame, in pixels of the image.
        time_s: Time of the frame in seconds, in its source.
        before: Detections of the frame before; None if it is no neighbor.
        after: Detections of the frame after; None if it is no neighbor.
        before_s: Seconds since the frame before; 0 without one.
        after_s: Seconds until the frame after; 0 without one.
    """

    image: NDArray[np.uint8]
    found: Detections
    time_s: float
    before: Detections | None = None
    after: Detections | None = None
    before_s: float = 0.0
    after_s: float = 0.0

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the image, px."""
        return self.image.shape[1], self.image.shape[0]


class TemporalSign(Protocol):
    """Sign that knows what is usual in one source."""

    def judge(self, around: Neighborhood) -> float | None:
        """Judge the next frame. Call it for each frame whose time is known, in order.

        Args:
            around: The frame, and its neighbors.

        Returns:
            Value of the sign in [0, 1]; None if nothing can be said about this frame.
        """
        ...


def any_of(probabilities: Iterable[float]) -> float:
    """Probability that at least one of several independent events happens (noisy or)."""
    return 1.0 - prod(1.0 - probability for probability in probabilities)
