"""Candidate objects: a box, a mask and scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeloop.labeling.candidates.mask import CroppedMask

__all__ = ["MIN_SAM_SCORE", "Candidate", "mask_trust"]

MIN_SAM_SCORE = 0.4
"""Predicted IoU below which a mask is ignored."""

_FULL_TRUST_SCORE = 0.9


def mask_trust(sam_score: float) -> float:
    """Map the IoU that SAM predicts for a mask to a weight in [0, 1]."""
    return min(max((sam_score - MIN_SAM_SCORE) / (_FULL_TRUST_SCORE - MIN_SAM_SCORE), 0.0), 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A possible object in a frame.

    Attributes:
        xyxy: float32 (4,), pixels of the frame.
        mask: SAM's mask; None if its score is too low.
        mask_agrees: True if the mask agrees with the prompt, False if it shows another object or a part.
        sam_score: IoU that SAM predicts for its mask, about [0, 1].
        source: Name of the prompter.
    """

    xyxy: NDArray[np.float32]
    mask: CroppedMask | None
    mask_agrees: bool
    sam_score: float
    source: str
