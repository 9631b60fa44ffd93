"""The loop: every frame of a file, the newest of a camera, true times, clean ends."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import nullcontext
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil
import pytest
from numpy.typing import NDArray

from edgeloop.edge.frame import Frame, Source
from edgeloop.edge.loop import pipeline
from edgeloop.edge.loop.meter import WINDOW, Meter
from edgeloop.edge.loop.stream import Stream
from edgeloop.edge.result import Result, Sink
from edgeloop.edge.runtime.detector import Detector, Prepared
from edgeloop.edge.sinks import VideoFile
from edgeloop.edge.sources import as_source, open_source
from edgeloop.edge.sources.live import LiveSource
from edgeloop.edge.tracking import ZoneCounter, ZoneFile
from edgeloop.models.detections import Detections
from edgeloop.models.errors import DataError, NoInputError, UsageError
from tests.blocks import block_box, draw_block

GATE = {"name": "gate", "from": [60.0, 0.0], "to": [60.0, 120.0]}


@pytest.fixture(scope="module", params=[1, 3], ids=["one at a time", "three at a time"])
def detector(block_model: Path, request: pytest.FixtureRequest) -> Detector:
    detector = Detector(block_model, threads=1)
    detector.parallel = request.param
    return detector


class Notes(Sink):
    """Remembers results, after an optional nap."""

    def __init__(self, nap_s: float = 0.0) -> None:
        self.results: list[Result] = []
        self.closed = 0
        self._nap_s = nap_s

    def write(self, result: Result) -> None:
        self.results.append(result)
        time.sleep(self._nap_s)

    def close(self) -> None:
        self.closed += 1


class Failing(Source):
    """Two frames, then an error; or frames without end."""

    name, live, fps, length, dropped, skipped = "failing", False, None, None, 0, 0

    def __init__(self, error: Exception | None) -> None:
        self.error = error
        self.stopped = False
        self.given = 0

    def __iter__(self) -> Iterator[Frame]:
        while not self.stopped:
            if self.error and self.given == 2:
                raise self.error
            yield Frame(draw_block(0), self.given, time.monotonic(), time.time(), self.name)
            self.given += 1

    def stop(self) -> None:
        self.stopped = True


def test_every_frame_of_a_file_is_seen_in_order_and_truly(detector: Detector, clip: Path) -> None:
    notes = Notes()
    with open_source(str(clip)) as source:
        summary = pipeline.run(source, detector, sinks=[notes])
    assert [result.frame.index for result in notes.results] == list(range(40))
    for result in notes.results:
        assert np.abs(result.detections.xyxy - [block_box(result.frame.index)]).max() < 4
    assert summary.frames == 40


@pytest.mark.slow
def test_a_slow_sink_loses_no_frame_of_a_file(detector: Detector, clip: Path) -> None:
    notes = Notes(nap_s=0.01)
    with open_source(str(clip)) as source:
        pipeline.run(source, detector, sinks=[notes])
    assert [result.frame.index for result in notes.results] == list(range(40))


def test_a_slow_sink_behind_a_camera_gets_the_newest_frame(detector: Detector) -> None:
    """Two new frames arrive while each result is worked on; a queue anywhere would hand over an older one."""
    ready, captured = threading.Semaphore(0), threading.Semaphore(0)

    def camera() -> Generator[NDArray[np.uint8]]:
        yield draw_block(0)
        for index in range(1, 9):
            ready.acquire()
            yield draw_block(index)
            captured.release()  # asked for the next: this one lies where it is taken from

    def work(result: Result) -> None:
        gaps.append(newest[0] - result.frame.index)
        for _ in range(2 if newest[0] < 8 else 0):
            ready.release()
            captured.acquire()
            newest[0] += 1

    newest, gaps = [0], list[int]()
    with LiveSource("camera", camera(), fps=None) as source:
        summary = pipeline.run(source, detector, on_result=work)
    assert gaps == [0] * 5
    assert (summary.frames, source.dropped) == (5, 4)


def test_times_add_up(detector: Detector, clip: Path) -> None:
    with open_source(str(clip)) as source:
        for result in pipeline.results(source, detector):
            stages_ms = result.timings.stages_ms
            assert list(stages_ms) == ["wait", "preprocess", "infer", "postprocess"]
            assert min(stages_ms.values()) >= 0
            assert sum(stages_ms.values()) == pytest.approx(result.timings.latency_ms)


@pytest.mark.parametrize(
    "limits",
    [{"max_frames": 0}, {"max_frames": -1}, {"duration_s": 0.0}, {"duration_s": float("nan")}],
    ids=str,
)
def test_a_limit_of_nothing_is_refused(detector: Detector, limits: dict[str, Any]) -> None:
    notes = Notes()
    with pytest.raises(UsageError, match=r"(max_frames|duration_s): expected"):
        pipeline.run([draw_block(0)], detector, sinks=[notes], **limits)
    assert (notes.results, notes.closed) == ([], 1)


@pytest.mark.parametrize(
    ("limits", "frames"),
    [
        pytest.param({"max_frames": 7}, range(7, 8), id="frames"),
        pytest.param({"duration_s": 0.2}, range(1, 5000), id="seconds"),
        pytest.param({"max_frames": 7, "duration_s": 60.0}, range(7, 8), id="whichever comes first"),
    ],
)
def test_limits_end_an_endless_source(detector: Detector, limits: dict[str, Any], frames: range) -> None:
    source = Failing(None)
    summary = pipeline.run(source, detector, **limits)
    assert summary.frames in frames
    assert source.stopped


@pytest.mark.slow
def test_time_is_up_also_while_a_source_is_silent(detector: Detector) -> None:
    rings = threading.Event()

    def silent() -> Generator[NDArray[np.uint8]]:
        yield draw_block(0)
        rings.wait()

    with LiveSource("silent", silent(), fps=None) as source:
        assert pipeline.run(source, detector, duration_s=0.3).frames == 1
        rings.set()


def test_a_failing_source_raises_in_the_loop_after_its_last_frame(detector: Detector) -> None:
    notes = Notes()
    with pytest.raises(DataError, match="broken"):
        pipeline.run(Failing(DataError("broken")), detector, sinks=[notes])
    assert len(notes.results) == 2


class Closing(Notes):
    """Notes in a common list when it is closed, and may fail in doing so."""

    def __init__(self, closed: list[Sink], error: type[BaseException] | None = None) -> None:
        super().__init__()
        self._all = closed
        self._error = error

    def close(self) -> None:
        self._all.append(self)
        if self._error is not None:
            raise self._error


def interrupt(_: Result) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("source", "on_result", "error"),
    [
        pytest.param(lambda: [draw_block(0)], None, None, id="regular end"),
        pytest.param(lambda: Failing(DataError("broken")), None, DataError, id="failing source"),
        pytest.param(lambda: [draw_block(0)], interrupt, KeyboardInterrupt, id="interrupted"),
        pytest.param(lambda: "missing.mp4", None, NoInputError, id="no source"),
    ],
)
def test_sinks_are_closed_once_and_in_order_whatever_happens(
    detector: Detector,
    source: Callable[[], pipeline.SourceLike],
    on_result: Callable[[Result], object] | None,
    error: type[BaseException] | None,
) -> None:
    closed: list[Sink] = []
    sinks = [Closing(closed), Closing(closed), Closing(closed)]
    with pytest.raises(error) if error else nullcontext():
        pipeline.run(source(), detector, sinks=sinks, on_result=on_result)
    assert closed == sinks


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_a_sink_that_cannot_be_closed_leaves_no_other_open(
    detector: Detector, error: type[BaseException]
) -> None:
    closed: list[Sink] = []
    sinks = [Closing(closed, error), Closing(closed)]
    with pytest.raises(error):
        pipeline.run([draw_block(0)], detector, sinks=sinks)
    assert closed == sinks


class Follower:
    """In the place of a tracker: everything is object 5. Remembers when."""

    def __init__(self) -> None:
        self.at_s: list[float] = []

    def update(self, detections: Detections, at_s: float) -> Detections:
        self.at_s.append(at_s)
        return replace(detections, tracker_id=np.full(len(detections), 5, np.int64))


def test_objects_are_followed_by_the_clock_of_the_footage_and_timed(detector: Detector, clip: Path) -> None:
    follower = Follower()
    with open_source(str(clip)) as source:
        found = list(pipeline.results(source, detector, tracker=follower))
    assert follower.at_s == pytest.approx([index / 20 for index in range(40)])
    for result in found:
        assert result.detections.tracker_id is not None
        assert result.detections.tracker_id.tolist() == [5]
        assert list(result.timings.stages_ms)[-1] == "track"
        assert sum(result.timings.stages_ms.values()) == pytest.approx(result.timings.latency_ms)
        assert result.events is None


def test_a_camera_is_followed_by_the_clock_of_its_frames(detector: Detector) -> None:
    follower = Follower()
    with LiveSource("camera", (draw_block(0) for _ in range(3)), fps=30) as source:
        found = list(pipeline.results(source, detector, tracker=follower))
    assert follower.at_s == [result.frame.time_s for result in found]


def test_zones_count_what_walks_through_the_picture(detector: Detector, clip: Path) -> None:
    zones = ZoneCounter(ZoneFile.model_validate({"lines": [GATE]}), detector.names, "zones.json")
    with open_source(str(clip)) as source:
        found = list(pipeline.results(source, detector, tracker=Follower(), zones=zones))
    crossed = [(result.frame.index, event) for result in found for event in result.events or ()]
    assert len(found) == 40
    ((index, event),) = crossed
    assert 15 <= index <= 18, "the middle of the block, at 30 + 2 * index, has passed 60"
    assert (event.kind, event.direction, event.tracker_id) == ("cross", "out", 5)


def test_zones_without_a_tracker_are_refused(detector: Detector) -> None:
    zones = ZoneCounter(ZoneFile.model_validate({"lines": [GATE]}), detector.names, "zones.json")
    with pytest.raises(UsageError, match="zones count the objects of a tracker, got none"):
        pipeline.run([draw_block(0)], detector, zones=zones)


def test_several_sources_share_the_model_and_nothing_else(detector: Detector, clip: Path) -> None:
    failing = Failing(DataError("broken"))
    notes, all_notes = [Notes(), Notes(), Notes()], Notes()
    with open_source(str(clip)) as whole, open_source(str(clip)) as part:
        cameras = [
            Stream(source, Meter(detector.names), [note])
            for source, note in zip((whole, failing, part), notes, strict=True)
        ]
        pipeline.run_streams(cameras, detector, [all_notes], max_frames=30)
    assert [camera.meter.frames for camera in cameras] == [30, 2, 30]
    assert [camera.error and str(camera.error) for camera in cameras] == [None, "broken", None]
    assert [len(note.results) for note in notes] == [30, 2, 30]
    assert len(all_notes.results) == 62
    assert [result.frame.index for result in notes[2].results] == list(range(30))
    assert [note.closed for note in notes] == [1, 1, 1], "what belongs to a source is completed when it ends"
    assert not all_notes.closed


def _camera(images: list[NDArray[np.uint8]]) -> Generator[NDArray[np.uint8]]:
    for image in images:
        yield image
        time.sleep(0.01)


class Refusing(Notes):
    """A sink whose second write fails."""

    def write(self, result: Result) -> None:
        if self.results:
            raise OSError("disk full")
        super().write(result)


class Losing:
    """A tracker that fails."""

    def update(self, _detections: Detections, _at_s: float) -> Detections:
        raise RuntimeError("lost track")


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        pytest.param({"images": [draw_block(0), np.zeros((8, 8), np.uint8)]}, "8, 8", id="a gray frame"),
        pytest.param({"sinks": [Refusing()]}, "disk full", id="its own sink"),
        pytest.param({"tracker": Losing()}, "lost track", id="its tracker"),
        pytest.param({"on_result": lambda _: 1 / 0}, "division", id="its callback"),
    ],
)
def test_any_failure_of_a_stream_ends_it_alone(
    detector: Detector, parts: dict[str, Any], message: str
) -> None:
    parts = dict(parts)
    images = parts.pop("images", [draw_block(index) for index in range(4)])
    broken = LiveSource("broken", _camera(images), fps=100)
    whole = LiveSource("whole", _camera([draw_block(index) for index in range(8)]), fps=100)
    with broken, whole:
        streams = [Stream(broken, Meter(detector.names), **parts), Stream(whole, Meter(detector.names))]
        pipeline.run_streams(streams, detector)
    assert message in str(streams[0].error)
    assert streams[1].error is None
    assert streams[1].meter.frames + whole.dropped == 8


class Sometimes:
    """A tracker that fails on every third frame."""

    def __init__(self) -> None:
        self.calls = 0

    def update(self, detections: Detections, _at_s: float) -> Detections:
        self.calls += 1
        if self.calls % 3 == 0:
            raise RuntimeError("lost track")
        return replace(detections, tracker_id=np.zeros(len(detections), np.int64))


class SometimesRefusing(Notes):
    """A sink that fails on every other frame."""

    def write(self, result: Result) -> None:
        super().write(result)
        if len(self.results) % 2:
            raise OSError("disk full")


FAR_ZONES = ZoneFile.model_validate(
    {"zones": [{"name": "yard", "polygon": [[0, 0], [900, 0], [900, 900]]}], "lines": []}
)


@pytest.mark.parametrize(
    ("parts", "failed"),
    [
        pytest.param({"tracker": Sometimes}, range(2, 12, 3), id="its tracker"),
        pytest.param({"sinks": lambda: [SometimesRefusing()]}, range(0, 12, 2), id="its own sink"),
        pytest.param(
            {"tracker": Sometimes, "zones": lambda: ZoneCounter(FAR_ZONES, ["block"], "far.json")},
            range(12),
            id="its zones",
        ),
        pytest.param({"images": lambda: [np.zeros((8, 8), np.uint8)] * 12}, range(12), id="its frames"),
    ],
)
def test_a_stream_that_survives_loses_the_frames_that_failed_and_no_other(
    detector: Detector, parts: dict[str, Callable[[], Any]], failed: range
) -> None:
    made = {name: make() for name, make in parts.items()}
    images = made.pop("images", [draw_block(index) for index in range(12)])
    errors: list[str] = []
    seen: list[int] = []

    def go_on(error: Exception) -> bool:
        errors.append(str(error))
        return True

    def see(result: Result) -> None:
        seen.append(result.frame.index)

    names = detector.names
    unsteady = Stream(as_source(images), Meter(names), on_failure=go_on, on_result=see, **made)
    whole = Stream(as_source([draw_block(0)] * 15), Meter(names))
    pipeline.run_streams([unsteady, whole], detector, max_frames=12)
    assert (unsteady.error, whole.error) == (None, None)
    assert unsteady.failed == len(errors) == len(failed)
    assert seen == [index for index in range(12) if index not in failed]
    # Frames that failed count for the limit, too: those that went through are fewer.
    assert (unsteady.meter.frames, whole.meter.frames) == (12 - len(failed), 12)


def test_a_stream_that_failed_is_not_waited_for(detector: Detector) -> None:
    """Its source may be in the middle of a read that takes long."""
    rings = threading.Event()

    def hanging() -> Iterator[NDArray[np.uint8]]:
        yield draw_block(0)
        rings.wait()

    def ring(result: Result) -> None:
        if result.frame.index == 5:
            rings.set()

    names = detector.names
    failed = Stream(as_source(hanging()), Meter(names), on_result=lambda _: 1 / 0)
    whole = Stream(as_source([draw_block(0)] * 10), Meter(names), on_result=ring)
    pipeline.run_streams([failed, whole], detector)
    assert isinstance(failed.error, ZeroDivisionError)
    assert whole.meter.frames == 10


def test_images_from_python_are_a_source_and_a_function_is_a_sink(detector: Detector) -> None:
    found: list[Result] = []
    summary = pipeline.run((draw_block(index) for index in range(5)), detector, on_result=found.append)
    assert summary.frames == 5
    assert [result.frame.index for result in found] == list(range(5))
    assert [len(result.detections) for result in pipeline.results([draw_block(0)] * 2, detector)] == [1, 1]


def test_a_generator_is_closed_at_the_end(detector: Detector) -> None:
    closed = []

    def images() -> Generator[NDArray[np.uint8]]:
        try:
            while True:
                yield draw_block(0)
        finally:
            closed.append(True)

    given = images()
    pipeline.run(given, detector, max_frames=2)
    assert closed


def test_a_generator_that_blocks_does_not_keep_the_loop_from_its_end(
    detector: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeloop.edge.loop.scheduler.JOIN_S", 0.05)
    rings, closed = threading.Event(), threading.Event()

    def images() -> Generator[NDArray[np.uint8]]:
        try:
            rings.wait()
            yield draw_block(0)
        finally:
            closed.set()

    given = images()
    assert pipeline.run(given, detector, duration_s=0.05).frames == 0
    assert not closed.is_set()
    rings.set()
    assert closed.wait(10)


def test_a_video_is_completed_when_the_run_fails(detector: Detector, tmp_path: Path) -> None:
    video = VideoFile(tmp_path / "out.mp4", detector.names, fps=20, live=False)
    with pytest.raises(DataError, match="broken"):
        pipeline.run(Failing(DataError("broken")), detector, sinks=[video])
    with open_source(str(tmp_path / "out.mp4")) as source:
        assert len(list(source)) == 2


def test_the_failure_of_every_stream_is_told(detector: Detector, caplog: pytest.LogCaptureFixture) -> None:
    streams = [Stream(Failing(DataError(text)), Meter(detector.names)) for text in ("first", "last")]
    with caplog.at_level(logging.WARNING, "edgeloop.edge"):
        pipeline.run_streams(streams, detector)
    told = [record.getMessage().split("; ") for record in caplog.records]
    assert sorted(failure for failure, *_ in told) == ["first", "last"]
    assert [others for _, *others in told] == [["the other sources go on"], []]


def test_a_single_image_is_no_source(detector: Detector) -> None:
    with pytest.raises(UsageError, match="single image"):
        next(pipeline.results(draw_block(0), detector))


def test_no_thread_outlives_the_loop(detector: Detector, clip: Path) -> None:
    before = set(threading.enumerate())
    with open_source(str(clip)) as source:
        pipeline.run(source, detector, max_frames=3)
    assert set(threading.enumerate()) == before


def test_reading_is_ahead_by_what_the_model_works_on_and_no_more(detector: Detector) -> None:
    source = Failing(None)
    results = pipeline.results(source, detector)
    for _ in range(3):
        next(results)
    time.sleep(0.05)
    assert source.given <= (3 if detector.parallel == 1 else 3 + detector.parallel)
    results.close()


def test_several_frames_are_in_the_model_at_the_same_time(block_model: Path) -> None:
    together = threading.Barrier(2)

    class Meeting(Detector):
        def infer(self, prepared: Prepared) -> list[NDArray[np.floating]]:
            together.wait(timeout=10)  # breaks where the other frame does not come
            return super().infer(prepared)

    detector = Meeting(block_model, threads=1)
    detector.parallel = 2
    frames = [result.frame.index for result in islice(pipeline.results(Failing(None), detector), 6)]
    assert frames == list(range(6))


def test_a_camera_has_one_frame_in_the_model_whatever_the_detector_is_made_for(block_model: Path) -> None:
    inside, most = [0], [0]

    class Counting(Detector):
        def infer(self, prepared: Prepared) -> list[NDArray[np.floating]]:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            time.sleep(0.01)
            inside[0] -= 1
            return super().infer(prepared)

    detector = Counting(block_model, threads=1)
    detector.parallel = 3
    with LiveSource("camera", (draw_block(index) for index in range(40)), fps=200) as source:
        pipeline.run(source, detector)
    assert most[0] == 1


@pytest.mark.slow
def test_memory_is_bounded(detector: Detector) -> None:
    pipeline.run(Failing(None), detector, max_frames=WINDOW + 200)
    before = psutil.Process().memory_info().rss
    summary = pipeline.run(Failing(None), detector, max_frames=WINDOW + 200)
    assert psutil.Process().memory_info().rss - before < 2e6
    assert summary.frames == WINDOW + 200


def test_opencv_works_on_one_thread_where_each_core_has_a_frame(block_model: Path, clip: Path) -> None:
    before = cv2.getNumThreads()
    detector = Detector(block_model, threads=1)
    detector.parallel = 2
    cv2.setNumThreads(3)
    try:
        with open_source(str(clip)) as source:
            found = pipeline.results(source, detector)
            next(found)
            assert cv2.getNumThreads() == 1
            found.close()
        assert cv2.getNumThreads() == 3
    finally:
        cv2.setNumThreads(before)
