"""States of one camera that are published when they change: its counts, zones, lines and availability."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from edgeloop.edge.result import Result, Sink
from edgeloop.edge.service.board import CameraState
from edgeloop.edge.tracking import ZoneCounter
from edgeloop.models.detections import Detections

__all__ = ["CameraStates", "dump_json"]


class CameraStates(Sink):
    """Sink that keeps the newest states of a camera for the thread that publishes them."""

    def __init__(self, camera: CameraState) -> None:
        """Start without a frame."""
        self._camera = camera
        self._detections: Detections | None = None
        self._places: dict[str, dict[str, Any]] | None = None

    def write(self, result: Result) -> None:
        """Keep the detections, and the totals if they changed."""
        self._detections = result.detections
        zones = self._camera.stream.zones
        if zones is not None and (self._places is None or result.events):
            self._places = _totals(zones)

    def close(self) -> None:
        """Do nothing: the last states stay."""

    def payloads(self) -> dict[str, str]:
        """Build the retained payloads by the last part of their topic; those known so far."""
        detections, places = self._detections, self._places
        payloads = {"availability": "online" if self._camera.link.status == "open" else "offline"}
        if detections is not None:
            payloads["counts"] = dump_json(_counts(detections, self._camera))
        return payloads | {leaf: dump_json(totals) for leaf, totals in (places or {}).items() if totals}


def dump_json(value: Any) -> str:
    """Write JSON in its shortest form."""
    return json.dumps(value, separators=(",", ":"))


def _counts(detections: Detections, camera: CameraState) -> dict[str, Any]:
    names = camera.stream.meter.names
    class_ids, counts = np.unique(detections.class_id, return_counts=True)
    classes = {
        names[number]: count for number, count in zip(class_ids.tolist(), counts.tolist(), strict=True)
    }
    return {"total": len(detections), "classes": classes}


def _totals(counter: ZoneCounter) -> dict[str, dict[str, Any]]:
    """Sum the totals of all classes. For the thread of the loop, which counts in them."""
    return {
        "zones": {
            zone: {
                key: sum(getattr(each, key) for each in totals.values())
                for key in ("inside", "entered", "left")
            }
            for zone, totals in counter.zone_totals().items()
        },
        "lines": {
            line: {side: sum(sides[side] for sides in totals.values()) for side in ("in", "out")}
            for line, totals in counter.line_totals().items()
        },
    }
