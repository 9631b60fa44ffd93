"""Exchange of the detector while a source runs: no frame is lost, and objects keep their ids."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgeloop.edge.engines.placement import Placement, ThreadCount
from edgeloop.edge.loop.meter import Meter
from edgeloop.edge.loop.pipeline import run_streams
from edgeloop.edge.loop.stream import Stream
from edgeloop.edge.result import Result
from edgeloop.edge.sources.iterable import ImageIterable
from edgeloop.edge.sources.live import LiveSource
from edgeloop.edge.tracking import open_tracker
from edgeloop.labeling.teaching.switching_detector import NotReadyError, SwitchingDetector, open_spec
from edgeloop.models.detections import Detections
from edgeloop.models.errors import DataError
from edgeloop.models.spec import ModelSpec

CPU, ONE = Placement("cpu"), ThreadCount(1)
SPEC = open_spec(("part", "nut"), 320, 0.25)


@dataclass
class BrightSpot:
    """Detector of the bright square in an image; its confidence tells which one answered."""

    confidence: float
    spec: ModelSpec = SPEC
    path: Path = Path("spot")
    provider: str = "cpu"
    placement: Placement = CPU
    threads: ThreadCount = ONE
    parallel: int = 1

    @property
    def names(self) -> tuple[str, ...]:
        return self.spec.names

    def detect_timed(self, image: NDArray[np.uint8]) -> tuple[Detections, dict[str, float]]:
        rows, columns = np.nonzero(image[..., 0] > 128)
        box = [[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]]
        found = Detections(
            np.array(box, np.float32), np.array([self.confidence], np.float32), np.zeros(1, np.int64)
        )
        return found, {"preprocess": 0.0, "infer": 0.0, "postprocess": 0.0}


def moving(count: int) -> Iterator[NDArray[np.uint8]]:
    """Square that moves by two pixels from image to image."""
    for number in range(count):
        image = np.zeros((120, 400, 3), np.uint8)
        image[40:80, 2 * number : 2 * number + 40] = 255
        yield image


def run(
    detector: SwitchingDetector, stream: Stream, note: Callable[[Result], None] = lambda _: None
) -> list[Result]:
    results: list[Result] = []

    def take(result: Result) -> None:
        results.append(result)
        note(result)

    stream.on_result = take
    stream.on_failure = lambda error: isinstance(error, NotReadyError)
    run_streams([stream], detector)
    assert stream.error is None
    return results


def test_no_frame_is_lost_and_the_object_keeps_its_id(tmp_path: Path) -> None:
    detector = SwitchingDetector(tmp_path, SPEC, live=False)
    detector.switch(BrightSpot(0.6))
    stream = Stream(ImageIterable(moving(80)), Meter(SPEC.names), tracker=open_tracker(confidence=0.25))
    wanted, switched = threading.Event(), threading.Event()

    def switch() -> None:
        assert wanted.wait(20)
        detector.switch(BrightSpot(0.9))
        switched.set()

    def note(result: Result) -> None:
        if result.frame.index == 30:
            wanted.set()
        if result.frame.index == 50:
            assert switched.wait(20)

    switching = threading.Thread(target=switch)
    switching.start()
    results = run(detector, stream, note)
    switching.join()
    assert [result.frame.index for result in results] == list(range(80))
    confidences = [round(float(result.detections.confidence[0]), 1) for result in results]
    assert confidences == sorted(confidences)
    assert set(confidences) == {0.6, 0.9}
    tracked = [result.detections.tracker_id for result in results[3:]]
    assert len({int(ids[0]) for ids in tracked if ids is not None}) == 1


def test_footage_waits_for_the_first_detector(tmp_path: Path) -> None:
    detector = SwitchingDetector(tmp_path, SPEC, live=False)
    first = threading.Timer(0.3, lambda: detector.switch(BrightSpot(0.6)))
    first.start()
    results = run(detector, Stream(ImageIterable(moving(5)), Meter(SPEC.names)))
    first.join()
    assert [result.frame.index for result in results] == list(range(5))
    assert results[0].timings.latency_ms >= 200


def camera(count: int) -> Generator[NDArray[np.uint8], None, None]:
    for image in moving(count):
        time.sleep(0.02)
        yield image


def test_a_live_source_drops_what_comes_before_the_first_detector(tmp_path: Path) -> None:
    detector = SwitchingDetector(tmp_path, SPEC, live=True)
    first = threading.Timer(0.4, lambda: detector.switch(BrightSpot(0.6)))
    first.start()
    source = LiveSource("camera", camera(60), fps=50.0)
    results = run(detector, Stream(source, Meter(SPEC.names)))
    first.join()
    assert results
    assert results[0].frame.index >= 5  # not the one that waited
    assert max(result.timings.latency_ms for result in results) < 300
    assert source.dropped >= 5


def test_the_end_of_a_run_ends_the_wait(tmp_path: Path) -> None:
    detector = SwitchingDetector(tmp_path, SPEC, live=False)
    detector.end()
    assert run(detector, Stream(ImageIterable(moving(3)), Meter(SPEC.names))) == []


def test_other_classes_are_refused(tmp_path: Path) -> None:
    detector = SwitchingDetector(tmp_path, SPEC, live=False)
    with pytest.raises(DataError, match="expected the classes part, nut, got nut, part"):
        detector.switch(BrightSpot(0.5, spec=open_spec(("nut", "part"), 320, 0.25)))
