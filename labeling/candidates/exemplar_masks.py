"""Exemplar frames with the masks that SAM draws in the person's boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeloop.labeling.candidates.mask import CroppedMask

__all__ = ["ExemplarMasks"]


@dataclass(frozen=True, slots=True, eq=False)
class ExemplarMasks:
    """An exemplar frame, or a copy-paste augmentation of one, with a mask for each box.

    Attributes:
        number: Number of the exemplar frame; augmentations share it, so that all are held out together.
        image: HxWx3 uint8 BGR.
        xyxy: float32 (N, 4), the boxes in pixels of the image, inside it.
        class_id: int64 (N,); -1 for objects that must not be labeled.
        masks: SAM's mask for each box; None if it disagrees with the box.
    """

    number: int
    image: NDArray[np.uint8]
    xyxy: NDArray[np.float32]
    class_id: NDArray[np.int64]
    masks: Sequence[CroppedMask | None]
