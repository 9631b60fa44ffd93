"""The loop on the device: read, detect, act.

Reading overlaps with detecting: a live source captures in its own thread and hands over its newest frame; of
any other source a thread reads the next frame while the model works on this one, and none is ever lost.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from queue import Empty, Queue

from edge.detector import Detector
from edge.frame import Frame
from edge.metrics import Meter
from edge.sinks import Sink
from edge.sources import Source
from models.detections import Detections

__all__ = ["Result", "Timings", "results", "run"]


@dataclass(frozen=True, slots=True)
class Timings:
    """Where the time of one frame went, in milliseconds.

    Attributes:
        latency_ms: From the arrival of the frame to its detections; the sum of the stages.
        stages_ms: `wait` (arrived, not yet taken), `preprocess`, `infer`, `postprocess`.
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
    """

    frame: Frame
    detections: Detections
    timings: Timings


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
    ends_at = time.monotonic() + (duration_s if duration_s is not None else float("inf"))
    with closing(results(source, detector)) as found:
        for result in found:
            for sink in sinks:
                sink.write(result)
            meter.add(result)
            if meter.frames == max_frames or time.monotonic() >= ends_at:
                break


def results(source: Source, detector: Detector) -> Generator[Result, None, None]:
    """Detect in every frame of a source.

    Args:
        source: Where frames come from; told to stop when the generator is closed.
        detector: What finds things in them.

    Yields:
        One result a frame, in order.
    """
    with closing(_live(source) if source.live else _ahead(source)) as frames:
        for frame in frames:
            yield _detect(frame, detector)


def _detect(frame: Frame, detector: Detector) -> Result:
    taken_at = time.monotonic()
    prepared = detector.preprocess(frame.image)
    prepared_at = time.monotonic()
    outputs = detector.infer(prepared)
    inferred_at = time.monotonic()
    detections = detector.postprocess(outputs, prepared.letterbox)
    done_at = time.monotonic()
    stages_ms = {
        "wait": (taken_at - frame.captured_at) * 1000,
        "preprocess": (prepared_at - taken_at) * 1000,
        "infer": (inferred_at - prepared_at) * 1000,
        "postprocess": (done_at - inferred_at) * 1000,
    }
    return Result(frame, detections, Timings((done_at - frame.captured_at) * 1000, stages_ms))


def _live(source: Source) -> Generator[Frame, None, None]:
    """The newest frame each time; the source has its own thread."""
    try:
        yield from source
    finally:
        source.stop()


def _ahead(source: Source) -> Generator[Frame, None, None]:
    """Every frame in order, each read in a thread while the one before it is worked on, and no earlier."""
    handed: Queue[Frame | None] = Queue()
    failures: list[Exception] = []

    def read() -> None:
        try:
            for frame in source:
                handed.put(frame)
                handed.join()
        except Exception as error:  # whatever it is, it belongs to the consumer, not to this thread
            failures.append(error)
        handed.put(None)

    reader = threading.Thread(target=read, name=f"read {source.name}", daemon=True)
    reader.start()
    try:
        while (frame := handed.get()) is not None:
            handed.task_done()
            yield frame
        if failures:
            raise failures[0]
    finally:
        source.stop()
        while reader.is_alive():  # it may hold a frame that nobody will take any more
            with suppress(Empty):
                handed.get(timeout=0.01)
                handed.task_done()
