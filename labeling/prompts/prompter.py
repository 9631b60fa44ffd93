"""What every way of prompting SAM has in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Prompter", "Prompts"]


@dataclass(frozen=True, slots=True, eq=False)
class Prompts:
    """Places in one frame that SAM is asked about.

    Attributes:
        source: Name of the prompter.
        coords: float32, (N, 4) boxes xyxy or (N, 2) points xy, in pixels of the frame.
        class_scores: float32 (N, classes) in [0, 1], how much each place looks like each class; None from a
            prompter that knows no classes.
    """

    source: str
    coords: NDArray[np.float32]
    class_scores: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.coords)

    @property
    def are_boxes(self) -> bool:
        """Whether `coords` are boxes."""
        return bool(self.coords.shape[1] == 4)


class Prompter(Protocol):
    """Something that knows where in a frame an object may be."""

    @property
    def name(self) -> str:
        """As `--prompts` calls it."""
        ...

    def propose(self, image: NDArray[np.uint8]) -> tuple[Prompts, ...]:
        """Say where to look.

        Args:
            image: HxWx3 uint8 BGR.

        Returns:
            Prompts of one kind or several, in pixels of the image, maybe empty.
        """
        ...

    def rehearse(self, image: NDArray[np.uint8], frame: int) -> tuple[Prompts, ...]:
        """Say where to look in an exemplar frame as if it had never been seen.

        This is how what comes after the prompter learns how far to trust it.

        Args:
            image: HxWx3 uint8 BGR.
            frame: Number of that frame among the exemplars.

        Returns:
            Prompts of one kind or several, in pixels of the image, maybe empty.
        """
        ...
