"""The detection loop: read, detect, track, act.

The stages overlap, so that the model never waits. A live source captures in its own thread and hands over its
newest frame as soon as the model is free: a frame that was read ahead would be old by then. Any other source
is read ahead by a thread, several frames are in the model at the same time if the detector is made for that,
and results are acted upon in order; no frame is lost.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.frame import Frame, Source
from edgeloop.edge.host.opencv import one_thread
from edgeloop.edge.loop.meter import Meter
from edgeloop.edge.loop.scheduler import SourceEnded, round_robin
from edgeloop.edge.loop.stream import Stream
from edgeloop.edge.loop.summary import RunSummary
from edgeloop.edge.result import Result, Sink, Timings
from edgeloop.edge.runtime.frame_detector import FrameDetector
from edgeloop.edge.sources import as_source
from edgeloop.models.detections import Detections
from edgeloop.models.errors import UsageError

if TYPE_CHECKING:
    from edgeloop.edge.tracking import Tracker, ZoneCounter

__all__ = ["SourceLike", "results", "run", "run_streams"]

log = logging.getLogger(__name__)

SourceLike = str | Path | Source | Iterable[NDArray[np.uint8] | Frame]
"""Source as a caller may give it; `edgeloop.edge.sources.as_source` opens it."""


def results(
    source: SourceLike,
    detector: FrameDetector,
    *,
    tracker: Tracker | None = None,
    zones: ZoneCounter | None = None,
) -> Generator[Result, None, None]:
    """Detect objects in every frame of a source.

    Args:
        source: Text as on the command line ("0", a path, an address), a `Source`, or any iterable of images
            (HxWx3 uint8, BGR). An iterable is read in another thread, one image ahead, so each image must be
            a new array. Closed with the generator.
        detector: The model.
        tracker: Gives objects ids; None for no tracking.
        zones: Counts objects, which needs a tracker; None for no counting.

    Yields:
        One result per frame, in order.

    Raises:
        EdgeloopError: The source cannot be opened, breaks off, or holds a frame that is no such image.
    """
    with as_source(source) as opened:
        stream = Stream(opened, Meter(detector.names), tracker=tracker, zones=zones)
        with closing(_detect_frames([stream], detector)) as found:
            for _, item in found:
                if isinstance(item, _Found):
                    yield _track(item, stream)
                elif item.error is not None:
                    raise item.error


def run(
    source: SourceLike,
    detector: FrameDetector,
    *,
    sinks: Sequence[Sink] = (),
    on_result: Callable[[Result], object] | None = None,
    tracker: Tracker | None = None,
    zones: ZoneCounter | None = None,
    max_frames: int | None = None,
    duration_s: float | None = None,
) -> RunSummary:
    """Run the loop on one source until it ends, is told to stop, or a limit is reached.

    Args:
        source: Text as on the command line ("0", a path, an address), a `Source`, or any iterable of images
            (HxWx3 uint8, BGR). An iterable is read in another thread, one image ahead, so each image must be
            a new array. Closed at the end.
        detector: The model.
        sinks: Consumers of each result, in this order. Each is closed once, whatever happens.
        on_result: Called with each result, after the sinks.
        tracker: Gives objects ids; None for no tracking.
        zones: Counts objects, which needs a tracker; None for no counting.
        max_frames: Number of frames after which to end; None for no limit.
        duration_s: Time in seconds after which to end; None for no limit.

    Returns:
        Counts, rates and latencies of the run.

    Raises:
        UsageError: A limit is not positive.
        EdgeloopError: The source cannot be opened, breaks off, or holds a frame that is no such image.
    """
    with ExitStack() as opened:
        for sink in reversed(sinks):
            opened.callback(sink.close)
        stream = Stream(
            opened.enter_context(as_source(source)),
            Meter(detector.names),
            on_result=on_result,
            tracker=tracker,
            zones=zones,
        )
        run_streams([stream], detector, sinks, max_frames=max_frames, duration_s=duration_s)
        if stream.error is not None:
            raise stream.error
        return stream.summary(detector)


def run_streams(
    streams: Sequence[Stream],
    detector: FrameDetector,
    sinks: Sequence[Sink] = (),
    *,
    max_frames: int | None = None,
    duration_s: float | None = None,
) -> None:
    """Run the loop on several sources in turn, until all end, are told to stop, or a limit is reached.

    A failure of any kind (the source, one of its frames, its tracker or one of its own sinks) ends its stream
    alone: `Stream.error` says why, and the others go on. A stream with `on_failure` may go on with its next
    frame.

    Args:
        streams: The sources, each with its own meter, tracker, zones and sinks. Its sinks are closed when it
            ends; sources are left open.
        detector: The model that all of them share.
        sinks: Consumers of the results of all streams, before the stream's own. Left open. An error of one of
            them ends the run.
        max_frames: Number of frames per stream after which it ends; None for no limit.
        duration_s: Time in seconds after which to end; None for no limit.

    Raises:
        UsageError: A limit is not positive.
    """
    ended: set[int] = set()
    found = _detect_frames(streams, detector, max_frames=max_frames, duration_s=duration_s, ended=ended)
    with ExitStack() as at_end:
        for stream in reversed(streams):
            at_end.callback(stream.end)
        _check_limits(max_frames, duration_s)
        at_end.enter_context(closing(found))
        for number, item in found:
            if number in ended:  # a frame that was in the model when its stream ended
                continue
            if end := _act(item, streams[number], sinks):
                ended.add(number)
                streams[number].end(end.error)
                if streams[number].error is not None and len(streams) > 1:
                    others = "; the other sources go on" if len(ended) < len(streams) else ""
                    log.warning("%s%s", streams[number].error, others)


def _check_limits(max_frames: int | None, duration_s: float | None) -> None:
    if max_frames is not None and max_frames < 1:
        raise UsageError(f"max_frames: expected at least 1, got {max_frames}")
    if duration_s is not None and not duration_s > 0:  # so that NaN is refused, too
        raise UsageError(f"duration_s: expected more than 0 seconds, got {duration_s}")


def _act(item: _Found | _Failed | SourceEnded, stream: Stream, sinks: Sequence[Sink]) -> SourceEnded | None:
    """Track and hand on what was found. Returns the end of the stream, also if one of its own parts fails."""
    if isinstance(item, SourceEnded):
        return item
    if isinstance(item, _Failed):
        return _fail(stream, item.error)
    try:
        result = _track(item, stream)
    except Exception as error:  # whatever it is, it ends this stream and no other
        return _fail(stream, error)
    for sink in sinks:
        sink.write(result)
    try:
        stream.write(result)
        stream.meter.add(result)
        stream.unchanged += result.unchanged
    except Exception as error:  # the same
        return _fail(stream, error)
    return None


def _fail(stream: Stream, error: Exception) -> SourceEnded | None:
    """End a stream one of whose frames failed, unless it goes on with the next."""
    return None if stream.survives(error) else SourceEnded(error)


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """Detections in one frame; `ready_at` is the monotonic time in seconds when they were there."""

    frame: Frame
    detections: Detections
    stages_ms: Mapping[str, float]
    ready_at: float
    unchanged: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class _Failed:
    """Frame in which nothing could be detected."""

    error: Exception


def _detect_frames(
    streams: Sequence[Stream],
    detector: FrameDetector,
    *,
    max_frames: int | None = None,
    duration_s: float | None = None,
    ended: AbstractSet[int] = frozenset(),
) -> Generator[tuple[int, _Found | _Failed | SourceEnded], None, None]:
    """Detect in frames as they arrive, and give them back in the same order."""
    sources = [stream.source for stream in streams]
    ahead = _frames_ahead(streams, detector)
    arrivals = round_robin(sources, max_frames=max_frames, duration_s=duration_s, ended=ended)
    with closing(arrivals):
        if ahead == 1:  # in this thread: another one would have to be woken, and this one again
            for number, arrival in arrivals:
                yield number, _detect(arrival, detector, streams[number])
            return
        with one_thread(), ThreadPoolExecutor(detector.parallel, "detect") as pool:
            taken: deque[tuple[int, Future[_Found | _Failed | SourceEnded]]] = deque()
            for number, arrival in arrivals:
                taken.append((number, pool.submit(_detect, arrival, detector, streams[number])))
                if len(taken) == ahead:
                    first, future = taken.popleft()
                    yield first, future.result()
            while taken:
                first, future = taken.popleft()
                yield first, future.result()


def _frames_ahead(streams: Sequence[Stream], detector: FrameDetector) -> int:
    """Number of frames to take before the first is acted upon, so that the model has its next meanwhile."""
    in_turn = any(stream.source.live or stream.gate is not None for stream in streams)
    if detector.parallel == 1 or in_turn:
        return 1
    return detector.parallel + 1


def _detect(
    arrival: Frame | SourceEnded, detector: FrameDetector, stream: Stream
) -> _Found | _Failed | SourceEnded:
    """Detect in one frame, unless nothing changed in it. The end of a source stays as it is."""
    if isinstance(arrival, SourceEnded):
        return arrival
    gate = stream.gate
    taken_at = compared_at = time.monotonic()
    stages_ms = {"wait": (taken_at - arrival.captured_at) * 1000}
    try:
        if gate is not None:
            earlier = gate.earlier(arrival.image, stream.seconds(arrival))
            compared_at = time.monotonic()
            stages_ms["compare"] = (compared_at - taken_at) * 1000
            if earlier is not None:
                return _Found(arrival, earlier, stages_ms, compared_at, unchanged=True)
        detections, steps_ms = detector.detect_timed(arrival.image)
        if gate is not None:
            gate.look(stream.keep(detections, (arrival.image.shape[1], arrival.image.shape[0])))
    except Exception as error:  # whatever it is, it belongs to this source and no other
        return _Failed(error)
    ready_at = time.monotonic()
    stages_ms |= steps_ms
    # What no step counts belongs to the last, so that the times add up to the latency.
    stages_ms["postprocess"] += (ready_at - compared_at) * 1000 - sum(steps_ms.values())
    return _Found(arrival, detections, stages_ms, ready_at)


def _track(found: _Found, stream: Stream) -> Result:
    """Run tracking and zones in frame order."""
    frame, detections, events = found.frame, found.detections, None
    height, width = frame.image.shape[:2]
    detections = stream.keep(detections, (width, height))
    turn_at = done_at = time.monotonic()
    stages_ms = dict(found.stages_ms)
    stages_ms["wait"] += (turn_at - found.ready_at) * 1000
    if stream.tracker is not None:
        at_s = stream.seconds(frame)
        detections = stream.tracker.update(detections, at_s)
        if stream.zones is not None:
            events = stream.zones.update(detections, (width, height), at_s)
        done_at = time.monotonic()
        stages_ms["track"] = (done_at - turn_at) * 1000
    timings = Timings((done_at - frame.captured_at) * 1000, stages_ms)
    return Result(frame, detections, timings, events, found.unchanged)
