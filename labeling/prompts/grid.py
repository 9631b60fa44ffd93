"""Prompts everywhere: a grid of points, for what no other prompter knows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgeloop.labeling.candidates.prompts import Prompts

__all__ = ["GridPrompter"]


class GridPrompter:
    """Points at the centers of equal cells."""

    name = "grid"

    def __init__(self, points_per_side: int = 16) -> None:
        """Args:
        points_per_side: Number of points along the longer side of the frame.
        """
        self._points_per_side = points_per_side

    def propose(self, image: NDArray[np.uint8]) -> tuple[Prompts, ...]:
        """See `Prompter.propose`."""
        height, width = image.shape[:2]
        cell = max(width, height) / self._points_per_side
        columns, rows = (max(1, round(side / cell)) for side in (width, height))
        x = (np.arange(columns, dtype=np.float32) + 0.5) * (width / columns)
        y = (np.arange(rows, dtype=np.float32) + 0.5) * (height / rows)
        points = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
        return (Prompts(self.name, points.astype(np.float32)),)

    def propose_held_out(self, image: NDArray[np.uint8], frame: int) -> tuple[Prompts, ...]:
        """See `Prompter.propose_held_out`."""
        return self.propose(image)
