"""Several sources in turn: fair, the newest of each camera, every frame of each file, failures apart."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from itertools import islice
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgeloop.edge.frame import Frame, Source
from edgeloop.edge.loop import scheduler
from edgeloop.edge.loop.scheduler import SourceEnded, round_robin
from edgeloop.edge.sources.iterable import ImageIterable
from edgeloop.edge.sources.live import LivePolicy, LiveSource
from edgeloop.models.errors import DataError

IMAGE = np.zeros((4, 4, 3), np.uint8)
FRAME = Frame(IMAGE, 0, 0.0, 0.0, "camera")


class Footage(Source):
    """Frames as fast as they are asked for, and then its end, an error or nothing at all."""

    live, fps, dropped, skipped = False, None, 0, 0

    def __init__(self, name: str, length: int, error: Exception | None = None) -> None:
        self.name = name
        self.length = length
        self._error = error
        self._stopped = False

    def __iter__(self) -> Iterator[Frame]:
        for index in range(self.length):
            if self._stopped:
                return
            yield Frame(IMAGE, index, 0.0, 0.0, self.name)
        if self._error:
            raise self._error

    def stop(self) -> None:
        self._stopped = True


class Shutter:
    """A camera that takes a picture when it is told to, and has taken it when `press` returns."""

    def __init__(self) -> None:
        self._pressed = threading.Semaphore(0)
        self._asked = threading.Semaphore(0)
        self._end: Exception | None = None
        self._ending = False

    def images(self) -> Generator[NDArray[np.uint8]]:
        while True:
            self._asked.release()
            self._pressed.acquire()
            if self._ending:
                if self._end:
                    raise self._end
                return
            yield IMAGE

    def press(self) -> None:
        self._asked.acquire()
        self._pressed.release()
        self._asked.acquire()  # the next one is asked for only after this one was put where it is taken from
        self._asked.release()

    def end(self, error: Exception | None = None) -> None:
        self._end, self._ending = error, True
        self._pressed.release()


def order(sources: Sequence[Source], count: int) -> list[int]:
    with closing(round_robin(sources)) as arrivals:
        return [number for number, _ in islice(arrivals, count)]


def test_files_are_served_in_turn_and_lose_nothing() -> None:
    sources = [Footage("a", 30), Footage("b", 30), Footage("c", 5)]
    seen: dict[int, list[int]] = {0: [], 1: [], 2: []}
    ends = []
    for number, arrival in round_robin(sources):
        if isinstance(arrival, SourceEnded):
            ends.append((number, arrival.error))
        else:
            seen[number].append(arrival.index)
    assert seen == {0: list(range(30)), 1: list(range(30)), 2: list(range(5))}
    assert sorted(ends) == [(0, None), (1, None), (2, None)]


def test_a_source_that_always_has_a_frame_does_not_starve_one_that_has_one_now_and_then() -> None:
    shutter = Shutter()
    with LiveSource("slow", shutter.images(), fps=None) as slow:
        arrivals = round_robin([Footage("fast", 10_000), slow])
        with closing(arrivals):
            next(arrivals)
            for _ in range(20):
                shutter.press()
                # at most one frame of the other one is served first
                assert 1 in {number for number, _ in islice(arrivals, 2)}
            shutter.end()


def test_cameras_that_all_have_frames_are_served_one_after_the_other() -> None:
    shutters = [Shutter() for _ in range(3)]
    cameras = [LiveSource(str(n), shutter.images(), fps=None) for n, shutter in enumerate(shutters)]
    served = []
    arrivals = round_robin(cameras)
    with closing(arrivals):
        threading.Timer(0, lambda: [shutter.press() for shutter in shutters]).start()
        served.append(next(arrivals)[0])
        served += [next(arrivals)[0] for _ in range(2)]
        for _ in range(10):
            for shutter in shutters:
                shutter.press()
            served += [next(arrivals)[0] for _ in range(3)]
    for shutter in shutters:
        shutter.end()
    rounds = [served[start : start + 3] for start in range(0, len(served), 3)]
    assert all(sorted(one) == [0, 1, 2] for one in rounds)
    assert all(one == rounds[1] for one in rounds[1:]), "who was served last comes last again"


def test_a_camera_gives_its_newest_frame_when_its_turn_comes_and_counts_the_others() -> None:
    shutter = Shutter()
    with LiveSource("camera", shutter.images(), fps=None) as camera:
        arrivals = round_robin([Footage("file", 1000), camera])
        with closing(arrivals):
            next(arrivals)
            for _ in range(4):
                shutter.press()
            frames = [arrival for number, arrival in islice(arrivals, 2) if number == 1]
            assert [frame.index for frame in frames if isinstance(frame, Frame)] == [3]
            assert camera.dropped == 3
            shutter.end()


class Clock:
    """Time that passes only where a test says so."""

    now_s = 0.0

    def monotonic(self) -> float:
        return self.now_s

    time = monotonic


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """What live sources tell the time by."""
    clock = Clock()
    monkeypatch.setattr("edgeloop.edge.sources.live.time", clock)
    return clock


def press_at(shutter: Shutter, clock: Clock, *times_s: float) -> None:
    for clock.now_s in times_s:
        shutter.press()


def test_a_newer_frame_that_is_due_is_waited_for(clock: Clock) -> None:
    shutter = Shutter()
    with LiveSource("camera", shutter.images(), fps=None) as camera:
        camera.start(threading.Event())
        press_at(shutter, clock, 1.0, 2.0)
        clock.now_s = 2.95
        threading.Timer(0.2, press_at, (shutter, clock, 3.0)).start()
        frame = camera.take(patience_s=30)
        assert frame is not None
        assert (frame.index, camera.dropped) == (2, 2)
        shutter.end()


def test_a_camera_that_is_late_is_not_waited_for_any_longer(clock: Clock) -> None:
    shutter = Shutter()
    with LiveSource("camera", shutter.images(), fps=None, policy=LivePolicy(max_age_s=60)) as camera:
        camera.start(threading.Event())
        press_at(shutter, clock, 1.0, 2.0)
        clock.now_s = 2.95
        frame = camera.take(patience_s=0.1)
        assert frame is not None
        assert (frame.index, camera.dropped) == (1, 1)
        shutter.end()


@pytest.mark.parametrize(
    ("pressed_s", "now_s", "patience_s"),
    [
        pytest.param([1.0, 2.0], 2.5, 0.1, id="not due yet"),
        pytest.param([1.0, 2.0], 9.0, 0.1, id="stalled"),
        pytest.param([1.0, 2.0], 2.95, 0.0, id="no patience"),
        pytest.param([1.0], 1.05, 0.1, id="of one frame nobody knows"),
    ],
)
def test_nothing_else_is_waited_for(
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    pressed_s: Sequence[float],
    now_s: float,
    patience_s: float,
) -> None:
    shutter = Shutter()
    with LiveSource("camera", shutter.images(), fps=None, policy=LivePolicy(max_age_s=60)) as camera:
        camera.start(threading.Event())
        press_at(shutter, clock, *pressed_s)
        clock.now_s = now_s
        monkeypatch.setattr(camera._lock, "wait", lambda _: pytest.fail("it waits"))
        frame = camera.take(patience_s)
        assert frame is not None
        assert frame.index == len(pressed_s) - 1
        shutter.end()


def test_patience_is_a_small_part_of_the_time_that_the_last_frame_took(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, asked = Clock(), []
    monkeypatch.setattr("edgeloop.edge.loop.scheduler.time", clock)
    monkeypatch.setattr(LiveSource, "take", lambda _, patience_s: asked.append(patience_s) or FRAME)
    with (
        LiveSource("camera", (image for image in list[NDArray[np.uint8]]()), fps=None) as camera,
        closing(round_robin([camera])) as arrivals,
    ):
        for took_s in (0.05, 0.2, 0.0):
            next(arrivals)
            clock.now_s += took_s
        next(arrivals)
    assert asked == pytest.approx([0.0, 0.0015, 0.006, 0.0])


def test_a_source_that_fails_ends_alone_after_its_last_frame() -> None:
    broken = DataError("broken")
    arrivals = list(round_robin([Footage("a", 3, broken), Footage("b", 10)]))
    of_a = [arrival for number, arrival in arrivals if number == 0]
    assert [type(arrival) for arrival in of_a] == [Frame] * 3 + [SourceEnded]
    assert of_a[-1] == SourceEnded(broken)
    assert sum(number == 1 and isinstance(arrival, Frame) for number, arrival in arrivals) == 10


def test_a_camera_that_fails_ends_alone() -> None:
    shutter, broken = Shutter(), DataError("unplugged")
    with LiveSource("camera", shutter.images(), fps=None) as camera:
        shutter.end(broken)
        ends = [
            (number, a.error)
            for number, a in round_robin([camera, Footage("b", 5)])
            if isinstance(a, SourceEnded)
        ]
    assert sorted(ends) == [(0, broken), (1, None)]


@pytest.mark.parametrize("live", [True, False])
def test_a_failure_between_two_looks_is_not_taken_for_a_regular_end(
    monkeypatch: pytest.MonkeyPatch, live: bool
) -> None:
    """The source fails after `take` gave nothing and before `over` is asked."""
    asked = threading.Event()
    broken = DataError("unplugged")

    def images() -> Generator[NDArray[np.uint8]]:
        yield IMAGE
        asked.wait()
        raise broken

    kind = LiveSource if live else scheduler._AheadFeed
    take = kind.take

    def take_then_fail(self: Any, patience_s: float) -> Frame | None:
        frame = take(self, patience_s)
        if frame is None:
            asked.set()
            self._thread.join()
        return frame

    monkeypatch.setattr(kind, "take", take_then_fail)
    source = LiveSource("camera", images(), fps=None) if live else ImageIterable(images())
    with source:
        *_, (_, end) = round_robin([source])
    assert end == SourceEnded(broken)


def test_each_source_ends_after_its_number_of_frames() -> None:
    sources = [Footage("a", 100), Footage("b", 100, DataError("never reached")), Footage("c", 2)]
    arrivals = list(round_robin(sources, max_frames=4))
    frames = [number for number, arrival in arrivals if isinstance(arrival, Frame)]
    assert [frames.count(number) for number in range(3)] == [4, 4, 2]
    assert sorted(n for n, a in arrivals if isinstance(a, SourceEnded) and a.error is None) == [0, 1, 2]


@pytest.mark.parametrize("count", [1, 4])
def test_closing_stops_every_source_and_its_thread(count: int) -> None:
    before = set(threading.enumerate())
    assert order([Footage(str(n), 1000) for n in range(3)], count)
    assert set(threading.enumerate()) == before


def test_a_source_that_cannot_be_stopped_leaves_no_other_running() -> None:
    class Stubborn(Footage):
        def stop(self) -> None:
            raise OSError("stuck")

    before = set(threading.enumerate())
    with pytest.raises(OSError, match="stuck"):
        order([Stubborn("a", 1000), Footage("b", 1000), Stubborn("c", 1000)], 4)
    assert set(threading.enumerate()) == before


def test_a_stopped_camera_is_over_at_once() -> None:
    shutter = Shutter()
    with LiveSource("camera", shutter.images(), fps=None) as camera:
        camera.stop()
        assert list(round_robin([camera])) == [(0, SourceEnded())]
        shutter.end()
