"""Streams with a tracker."""

from __future__ import annotations

from edgeloop.edge.frame import Source
from edgeloop.edge.loop.change_gate import ChangeGate
from edgeloop.edge.loop.meter import Meter
from edgeloop.edge.loop.stream import Stream
from edgeloop.edge.runtime.frame_detector import FrameDetector
from edgeloop.edge.tracking import IgnoreMask, ZoneCounter, open_tracker

__all__ = ["open_stream"]


def open_stream(
    source: Source,
    detector: FrameDetector,
    *,
    track: bool = False,
    zones: ZoneCounter | None = None,
    ignore: IgnoreMask | None = None,
    skip_unchanged: bool = False,
) -> Stream:
    """Make the stream of a source, with a tracker if objects are tracked or counted."""
    tracker = None
    if track or zones is not None:
        tracker = open_tracker(fps=source.fps, confidence=detector.spec.lowest_confidence)
    gate = ChangeGate(detector.spec.lowest_confidence) if skip_unchanged else None
    return Stream(source, Meter(detector.names), tracker=tracker, zones=zones, ignore=ignore, gate=gate)
