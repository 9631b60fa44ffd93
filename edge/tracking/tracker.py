"""Multi-object tracking: the same object keeps the same id from frame to frame.

ByteTrack of roboflow's `trackers` (optional extra `track`), chosen over SORT on a street camera by
benchmarks/tracking.py. The library takes one to two seconds to load, so it loads with the first tracker and
not with this module.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal, Protocol

import numpy as np

from edgeloop.edge.frame import DEFAULT_FPS
from edgeloop.models.detections import Detections
from edgeloop.models.errors import UnavailableError

__all__ = ["LOST_S", "NO_ID", "Method", "Tracker", "open_tracker"]

Method = Literal["bytetrack", "sort"]

NO_ID = -1
"""Id of a detection that belongs to no object yet: seen once, or too uncertain to start one."""

LOST_S = 1.0
"""Seconds for which an object may be unseen and keep its id."""

START_SHARE = 0.3
"""Minimum confidence of a detection that starts an object, as a share of the way from the threshold to 1.

Detections below it only continue objects: uncertain boxes flicker, and each would start a new one.
"""


class Tracker(Protocol):
    """Multi-object tracker of one source: gives detections ids that stay.

    A second source needs a second tracker.
    """

    def update(self, detections: Detections, at_s: float, /) -> Detections:
        """Match the detections of the next frame with the objects so far.

        Args:
            detections: Detections in one frame.
            at_s: Time of the frame in seconds, later than the one before.

        Returns:
            The same rows with `tracker_id`, or `NO_ID` for rows that belong to no object yet.
        """
        ...


def open_tracker(
    *, fps: float | None = None, confidence: float = 0.25, method: Method = "bytetrack"
) -> Tracker:
    """Open a tracker of the `trackers` library, without objects.

    Args:
        fps: Nominal frames per second of the source; None for 30.
        confidence: The detector's threshold, in [0, 1].
        method: The algorithm.

    Returns:
        A tracker for one source.

    Raises:
        UnavailableError: The library is not installed.
    """
    return _LibraryTracker(fps, confidence, method)


class _LibraryTracker(Tracker):
    def __init__(self, fps: float | None, confidence: float, method: Method) -> None:
        try:
            import supervision
            import trackers
        except ModuleNotFoundError as error:
            raise UnavailableError(
                f"tracking: the package {error.name} is not installed; pip install 'edgeloop[track]'"
            ) from error
        start = confidence + START_SHARE * (1 - confidence)
        options: dict[str, Any] = {
            "lost_track_buffer": round(30 * LOST_S),  # the library counts it at 30 frames a second
            "frame_rate": fps or DEFAULT_FPS,
            "track_activation_threshold": start,
        }
        if method == "bytetrack":
            self._tracker = trackers.ByteTrackTracker(**options, high_conf_det_threshold=start)
        else:
            self._tracker = trackers.SORTTracker(**options)
        self._wrap = supervision.Detections

    def update(self, detections: Detections, at_s: float) -> Detections:
        rows = np.arange(len(detections))
        wrapped = self._wrap(xyxy=detections.xyxy, confidence=detections.confidence, data={"row": rows})
        tracked = self._tracker.update(wrapped, timestamp=at_s)
        ids = np.full(len(detections), NO_ID, np.int64)
        if len(tracked):  # in an order of its own
            ids[tracked.data["row"]] = tracked.tracker_id
        return replace(detections, tracker_id=ids)
