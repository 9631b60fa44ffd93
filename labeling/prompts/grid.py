"""Prompts on a regular grid, which needs nothing to learn from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgeloop.labeling.candidates.prompts import Prompts

__all__ = ["GridPrompter"]

_POINTS_PER_SIDE = 16
"""Number of points along the longer side of the frame."""


class GridPrompter:
    """Points at the centers of equal cells."""

    name = "grid"

    def propose(self, image: NDArray[np.uint8]) -> tuple[Prompts, ...]:
        """See `Prompter.propose`."""
        height, width = image.shape[:2]
        cell = max(width, height) / _POINTS_PER_SIDE
        columns, rows = (max(1, round(side / cell)) for side in (width, height))
        x = (np.arange(columns, dtype=np.float32) + 0.5) * (width / columns)
        y = (np.arange(rows, dtype=np.float32) + 0.5) * (height / rows)
        points = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
        return (Prompts(self.name, points.astype(np.float32)),)
