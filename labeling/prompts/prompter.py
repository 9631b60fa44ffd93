"""Protocol of the prompters."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edgeloop.labeling.candidates.prompts import Prompts

__all__ = ["Prompter"]


class Prompter(Protocol):
    """Proposes boxes or points at possible objects."""

    def propose(self, image: NDArray[np.uint8]) -> tuple[Prompts, ...]:
        """Propose prompts for a frame, HxWx3 uint8 BGR: of one kind or several, in its pixels, maybe none."""
        ...
