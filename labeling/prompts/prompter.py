"""What every way of prompting SAM has in common."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edgeloop.labeling.candidates.prompts import Prompts

__all__ = ["Prompter"]


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

    def propose_held_out(self, image: NDArray[np.uint8], frame: int) -> tuple[Prompts, ...]:
        """Say where to look in an exemplar frame as if it had never been seen.

        This is how what comes after the prompter learns how far to trust it.

        Args:
            image: HxWx3 uint8 BGR.
            frame: Number of that frame among the exemplars.

        Returns:
            Prompts of one kind or several, in pixels of the image, maybe empty.
        """
        ...
