"""Distance of a description from those of training frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from edgeloop.models.bundle.frame_statistics import FrameStatistics

__all__ = ["FrameDistance"]


@dataclass(frozen=True, slots=True, eq=False)
class FrameDistance:
    """Mahalanobis distance of a normal distribution with a few principal axes.

    Attributes:
        mean: Means of the values; float32 (n,).
        scale: Divisors of what differs from them; float32 (n,).
        axes: Principal axes of the scaled differences, of length 1; float32 (k, n).
        variances: Variances along the axes; float (k,).
        residual: Variance in every other direction.
    """

    mean: NDArray[np.float32]
    scale: NDArray[np.float32]
    axes: NDArray[np.float32]
    variances: NDArray[np.float32]
    residual: float

    @classmethod
    def read(cls, statistics: FrameStatistics) -> Self:
        """Unpack the distribution of a bundle."""
        mean, scale, axes = (statistics.array(name) for name in ("mean", "scale", "axes"))
        return cls(mean, scale, axes, np.array(statistics.variances, np.float32), statistics.residual)

    def of(self, values: NDArray[np.float32]) -> float:
        """Distance of one description, float32 (n,); about 1 for a frame of the distribution."""
        scaled = (values - self.mean) / self.scale
        along = self.axes @ scaled
        rest = float(scaled @ scaled - along @ along)
        squared = float((along * along / self.variances).sum()) + max(rest, 0.0) / self.residual
        return float(np.sqrt(squared / len(values)))
