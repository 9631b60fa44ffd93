"""Picture of an event."""

from __future__ import annotations

import numpy as np

from edgeloop.edge.draw.annotate import annotate
from edgeloop.edge.host.opencv import encode_image
from edgeloop.edge.service.service_part import ServiceEvent
from edgeloop.models.detections import Detections

__all__ = ["event_jpeg"]

_QUALITY = 85


def event_jpeg(event: ServiceEvent) -> bytes:
    """Draw the object of an event into its frame and encode it as JPEG."""
    if event.xyxy is None:
        return encode_image(".jpg", event.image, quality=_QUALITY)
    found = Detections(
        np.array([event.xyxy], np.float32),
        np.array([event.confidence or 0.0], np.float32),
        np.zeros(1, np.int64),
        np.array([event.tracker_id], np.int64),
        event.masks,
    )
    return encode_image(".jpg", annotate(event.image, found, [event.class_name]), quality=_QUALITY)
