"""Results as JSON lines: one object per frame, flushed at once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TextIO

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.result import Sink

if TYPE_CHECKING:
    from edgeloop.edge.result import Result
    from edgeloop.edge.tracking import Event
    from edgeloop.models.detections import Detections
    from edgeloop.models.masks import Masks

__all__ = ["JsonLines", "mask_segments"]

_SIMPLER_PX = 0.5


class JsonLines(Sink):
    """Writes each result as one line of JSON.

    A line holds `index`, `source`, `time_s` (seconds since the first frame of the source; null if unknown),
    `captured_at` (monotonic seconds), `wall_time` (Unix seconds), `latency_ms` and `detections`, each with
    `class`, `class_id`, `confidence`, `xyxy` in source pixels and, if objects are tracked, `tracker_id`, null
    if the object has none yet. If the model finds masks, `segments` is last, as `mask_segments` makes them.
    `unchanged`, true, is there if nothing had changed, and the detections are those of an earlier frame.
    With zones, `events` follows: each `event` (enter, leave, dwell, cross) with its `zone` or `line`,
    `tracker_id`, `class`, and `dwell_s` (seconds) or `direction` (in, out).
    """

    def __init__(self, stream: TextIO, names: Sequence[str]) -> None:
        """Write to a text stream, which the caller closes. `names` are the model's class names."""
        self._stream = stream
        self._names = names

    def write(self, result: Result) -> None:
        """Write one line."""
        line: dict[str, Any] = {
            "index": result.frame.index,
            "source": result.frame.source,
            "time_s": None if result.frame.time_s is None else round(result.frame.time_s, 4),
            "captured_at": round(result.frame.captured_at, 6),
            "wall_time": round(result.frame.wall_time, 3),
            "latency_ms": round(result.timings.latency_ms, 3),
            "detections": self._detections(result.detections),
        }
        if result.unchanged:
            line["unchanged"] = True
        if result.events is not None:
            line["events"] = [self._event(event) for event in result.events]
        try:
            self._stream.write(json.dumps(line, ensure_ascii=False) + "\n")
        except UnicodeEncodeError:  # a source whose name is not UTF-8, or a terminal that is not
            self._stream.write(json.dumps(line) + "\n")
        self._stream.flush()

    def close(self) -> None:
        """Flush the stream."""
        self._stream.flush()

    def _detections(self, found: Detections) -> list[dict[str, Any]]:
        rows = [self._detection(found, row) for row in range(len(found))]
        if found.masks is not None:
            for detection, segments in zip(rows, mask_segments(found.masks), strict=True):
                detection["segments"] = segments
        return rows

    def _detection(self, found: Detections, row: int) -> dict[str, Any]:
        class_id = int(found.class_id[row])
        detection: dict[str, Any] = {
            "class": self._names[class_id],
            "class_id": class_id,
            "confidence": round(float(found.confidence[row]), 4),
            "xyxy": [round(float(value), 2) for value in found.xyxy[row]],
        }
        if found.tracker_id is not None:
            tracker_id = int(found.tracker_id[row])
            detection["tracker_id"] = tracker_id if tracker_id >= 0 else None
        return detection

    def _event(self, event: Event) -> dict[str, Any]:
        line: dict[str, Any] = {
            "event": event.kind,
            "line" if event.kind == "cross" else "zone": event.place,
            "tracker_id": event.tracker_id,
            "class": self._names[event.class_id],
        }
        if event.direction is not None:
            line["direction"] = event.direction
        if event.dwell_s is not None:
            line["dwell_s"] = event.dwell_s
        return line


def mask_segments(masks: Masks) -> list[list[list[float]]]:
    """Trace the outer contours of masks, for JSON.

    Returns:
        For each object its polygons, largest first: `[x1, y1, x2, y2, ...]` in pixels of the image, on the
        outermost pixels of the object, at most half a pixel off. An object without pixels has none.
    """
    return [
        [_simplified(outline).round(1).ravel().tolist() for outline in outlines]
        for outlines in masks.outlines()
    ]


def _simplified(outline: NDArray[np.float32]) -> NDArray[np.float32]:
    simpler = np.asarray(cv2.approxPolyDP(outline, _SIMPLER_PX, True), np.float32).reshape(-1, 2)
    return simpler if len(simpler) >= 3 else outline
