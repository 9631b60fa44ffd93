"""Selection of the detections that count for a camera."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from edgeloop.edge.service.service_config import CameraConfig
from edgeloop.models.detections import Detections

__all__ = ["detection_filter"]


def detection_filter(config: CameraConfig, names: Sequence[str]) -> Callable[[Detections], Detections] | None:
    """Make the function that keeps the classes and scores of a camera; None if it keeps all.

    Args:
        config: The camera.
        names: Class names by class number.
    """
    if config.classes is None and config.confidence is None:
        return None
    # None is for all, also those that a later model adds.
    wanted = config.classes and [number for number, name in enumerate(names) if name in config.classes]
    lowest = config.confidence or 0.0

    def select(found: Detections) -> Detections:
        kept = found.confidence >= lowest
        return found[kept if wanted is None else kept & np.isin(found.class_id, wanted)]

    return select
