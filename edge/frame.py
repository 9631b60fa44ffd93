"""One picture from a source, and when it was taken."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Frame"]


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture as it came from a source.

    Attributes:
        image: HxWx3 uint8, BGR. Shared between all who see the frame: draw on a copy.
        index: Place of the picture in its source, from 0. On live sources it counts the frames that were
            dropped too, so a gap in the indices is a drop; on `synth:` sources it is the scene's own index.
        captured_at: Monotonic clock in seconds when the picture arrived. The one to measure with.
        wall_time: Unix time in seconds. For labels only: this clock can jump.
        source: What the picture came from: a path, an address, a camera or a scene.
    """

    image: NDArray[np.uint8]
    index: int
    captured_at: float
    wall_time: float
    source: str
