"""The loop on the device: read, detect, track, act.

All of it overlaps, so that the model never waits. A live source captures in its own thread and hands over its
newest frame as soon as the model is free: whatever was read ahead would be old by then. Of any other source a
thread reads ahead, several frames are in the model at the same time where the detector is made for that, and
what was found is acted upon in order; none is ever lost.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgeloop.edge.frame import Frame
from edgeloop.edge.host.opencv import one_thread
from edgeloop.edge.loop.meter import Meter
from edgeloop.edge.loop.scheduler import Ended, in_turn
from edgeloop.edge.loop.stream import Camera
from edgeloop.edge.runtime.detector import Detector
from edgeloop.edge.sinks import Sink
from edgeloop.edge.sources import Source
from edgeloop.models.detections import Detections

if TYPE_CHECKING:
    from edgeloop.edge.tracking import Event, ZoneCounter
    from edgeloop.edge.tracking.tracker import Tracker

__all__ = ["Result", "Timings", "results", "run", "run_all"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Timings:
    """Where the time of one frame went, in milliseconds.

    Attributes:
        latency_ms: From the arrival of the frame to its detections; the sum of the stages.
        stages_ms: `wait` (for the model, and then for the frames before it), `preprocess`, `infer`,
            `postprocess` and, where objects are followed, `track`.
    """

    latency_ms: float
    stages_ms: Mapping[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """What was found in one frame, and how long it took.

    Attributes:
        frame: The frame as it came from the source.
        detections: Boxes in pixels of `frame.image`.
        timings: From the arrival of the frame on.
        events: What happened in zones and at lines; None where nothing counts.
    """

    frame: Frame
    detections: Detections
    timings: Timings
    events: tuple[Event, ...] | None = None


def run(
    source: Source,
    detector: Detector,
    sinks: Sequence[Sink],
    meter: Meter,
    *,
    max_frames: int | None = None,
    duration_s: float | None = None,
) -> None:
    """Run the loop until the source ends, is told to stop, or a limit is reached.

    Args:
        source: Where frames come from.
        detector: What finds things in them.
        sinks: What is done with each result, in this order.
        meter: Counts and times every result.
        max_frames: Number of frames after which to end.
        duration_s: Time in seconds after which to end.
    """
    camera = Camera(source, meter)
    run_all([camera], detector, sinks, max_frames=max_frames, duration_s=duration_s)
    if camera.error is not None:
        raise camera.error


def run_all(
    cameras: Sequence[Camera],
    detector: Detector,
    sinks: Sequence[Sink],
    *,
    max_frames: int | None = None,
    duration_s: float | None = None,
) -> None:
    """Run the loop on several sources in turn, until all end, are told to stop, or a limit is reached.

    A source that fails ends alone; its `Camera.error` says why.

    Args:
        cameras: The sources, each with what belongs to it.
        detector: What finds things in the frames of all of them.
        sinks: What is done with each result of any of them, before the sinks of its camera.
        max_frames: Number of frames of each source after which it ends.
        duration_s: Time in seconds after which to end.
    """
    ends_at = time.monotonic() + (duration_s if duration_s is not None else float("inf"))
    sources = [camera.source for camera in cameras]
    with closing(_detected(sources, detector, max_frames=max_frames)) as found:
        for number, item in found:
            camera = cameras[number]
            if isinstance(item, Ended):
                camera.end(item.error)
                if item.error is not None and len(cameras) > 1:
                    log.warning("%s; the other sources go on", item.error)
            else:
                result = _result(item, camera)
                for sink in (*sinks, *camera.sinks):
                    sink.write(result)
                camera.meter.add(result)
            if time.monotonic() >= ends_at:
                break


def results(
    source: Source, detector: Detector, *, tracker: Tracker | None = None, zones: ZoneCounter | None = None
) -> Generator[Result, None, None]:
    """Detect in every frame of a source.

    Args:
        source: Where frames come from; told to stop when the generator is closed.
        detector: What finds things in them.
        tracker: Gives the objects ids; None for no tracking.
        zones: Counts the objects, which needs a tracker; None for no counting.

    Yields:
        One result a frame, in order.
    """
    camera = Camera(source, Meter(detector.names), tracker=tracker, zones=zones)
    with closing(_detected([source], detector)) as found:
        for _, item in found:
            if isinstance(item, _Found):
                yield _result(item, camera)
            elif item.error is not None:
                raise item.error


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """What was found in one frame; `ready_at` is when, by the monotonic clock in seconds."""

    frame: Frame
    detections: Detections
    stages_ms: Mapping[str, float]
    ready_at: float


def _ahead(sources: Sequence[Source], detector: Detector) -> int:
    """Frames to take before the first of them is acted upon, so that the model has its next while we act."""
    if detector.parallel == 1 or any(source.live for source in sources):
        return 1
    return detector.parallel + 1


def _detected(
    sources: Sequence[Source], detector: Detector, *, max_frames: int | None = None
) -> Generator[tuple[int, _Found | Ended], None, None]:
    """Detect in frames as they arrive, and give them back in the same order."""
    ahead = _ahead(sources, detector)
    with closing(in_turn(sources, max_frames=max_frames)) as arrivals:
        if ahead == 1:  # here and now: another thread would have to be woken, and this one again
            for number, arrival in arrivals:
                yield number, _detect(arrival, detector) if isinstance(arrival, Frame) else arrival
            return
        with one_thread(), ThreadPoolExecutor(detector.parallel, "detect") as pool:
            taken: deque[tuple[int, Future[_Found] | Ended]] = deque()
            for number, arrival in arrivals:
                item = pool.submit(_detect, arrival, detector) if isinstance(arrival, Frame) else arrival
                taken.append((number, item))
                if len(taken) == ahead:
                    yield _first(taken)
            while taken:
                yield _first(taken)


def _first(taken: deque[tuple[int, Future[_Found] | Ended]]) -> tuple[int, _Found | Ended]:
    number, item = taken.popleft()
    return number, item if isinstance(item, Ended) else item.result()


def _detect(frame: Frame, detector: Detector) -> _Found:
    taken_at = time.monotonic()
    prepared = detector.preprocess(frame.image)
    prepared_at = time.monotonic()
    outputs = detector.infer(prepared)
    inferred_at = time.monotonic()
    detections = detector.postprocess(outputs, prepared.letterbox)
    ready_at = time.monotonic()
    stages_ms = {
        "wait": (taken_at - frame.captured_at) * 1000,
        "preprocess": (prepared_at - taken_at) * 1000,
        "infer": (inferred_at - prepared_at) * 1000,
        "postprocess": (ready_at - inferred_at) * 1000,
    }
    return _Found(frame, detections, stages_ms, ready_at)


def _result(found: _Found, camera: Camera) -> Result:
    """Follow what was found from the frames before, whose turn it was first."""
    frame, detections, events = found.frame, found.detections, None
    done_at = time.monotonic()
    stages_ms = dict(found.stages_ms)
    stages_ms["wait"] += (done_at - found.ready_at) * 1000
    if camera.tracker is not None:
        detections, events = _track(frame, detections, camera.tracker, camera)
        turn_at, done_at = done_at, time.monotonic()
        stages_ms["track"] = (done_at - turn_at) * 1000
    return Result(frame, detections, Timings((done_at - frame.captured_at) * 1000, stages_ms), events)


def _track(
    frame: Frame, detections: Detections, tracker: Tracker, camera: Camera
) -> tuple[Detections, tuple[Event, ...] | None]:
    at_s = camera.seconds(frame)
    tracked = tracker.update(detections, at_s)
    if camera.zones is None:
        return tracked, None
    height, width = frame.image.shape[:2]
    return tracked, camera.zones.update(tracked, (width, height), at_s)
