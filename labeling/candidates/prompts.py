"""Prompts for SAM: boxes or points in one frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Prompts"]


@dataclass(frozen=True, slots=True, eq=False)
class Prompts:
    """Boxes or points of one prompter in one frame.

    Attributes:
        source: Name of the prompter.
        coords: float32, (N, 4) boxes xyxy or (N, 2) points xy, in pixels of the frame.
    """

    source: str
    coords: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.coords)

    @property
    def are_boxes(self) -> bool:
        """True if `coords` are boxes."""
        return bool(self.coords.shape[1] == 4)
