"""The person's boxes on a frame with the outlines that SAM drew inside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeloop.labeling.candidates.mask import Silhouette

__all__ = ["OutlinedFrame"]


@dataclass(frozen=True, slots=True, eq=False)
class OutlinedFrame:
    """An exemplar frame, or a picture made of one.

    Attributes:
        number: Of the exemplar frame; pictures made of it share it, so that all can be left out together.
        image: HxWx3 uint8 BGR.
        xyxy: float32 (N, 4), the boxes in pixels of the image, inside it.
        class_id: int64 (N,); -1 for what must not be labelled.
        silhouettes: For each box SAM's mask of its object; None where SAM saw something else.
    """

    number: int
    image: NDArray[np.uint8]
    xyxy: NDArray[np.float32]
    class_id: NDArray[np.int64]
    silhouettes: Sequence[Silhouette | None]
