"""Results as JSON lines: one object per frame, flushed at once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TextIO

from edgeloop.edge.result import Sink

if TYPE_CHECKING:
    from edgeloop.edge.result import Result
    from edgeloop.edge.tracking import Event

__all__ = ["JsonLines"]


class JsonLines(Sink):
    """Writes each result as one line of JSON.

    A line holds `index`, `source`, `time_s` (seconds since the first frame of the source; null if unknown),
    `captured_at` (monotonic seconds), `wall_time` (Unix seconds), `latency_ms` and `detections`, each with
    `class`, `class_id`, `confidence`, `xyxy` in source pixels and, if objects are tracked, `tracker_id`, null
    if the object has none yet.
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
            "detections": [self._detection(result, row) for row in range(len(result.detections))],
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

    def _detection(self, result: Result, row: int) -> dict[str, Any]:
        found = result.detections
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
