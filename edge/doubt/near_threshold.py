"""Uncertainty of a detector about its boxes: a score close to the threshold.

The least certain box stands for its frame (uncertainty sampling; for detectors Brust et al. 2019,
arXiv:1809.09875).
"""

from __future__ import annotations

from edgeloop.models.detections import Detections

__all__ = ["uncertainty"]


def uncertainty(found: Detections, threshold: float) -> float:
    """Uncertainty of the least confident box of a frame.

    Args:
        found: Detections of the frame.
        threshold: The detector's minimum confidence, below 1.

    Returns:
        1 at the threshold, 0 at a confidence of 1 or without a box.
    """
    if not len(found):
        return 0.0
    return 1.0 - max(0.0, float(found.confidence.min()) - threshold) / (1.0 - threshold)
