"""Supervision of live cameras: lost, silent, frozen and hanging connections, and the return of each."""

from __future__ import annotations

import gc
import itertools
import math
import re
import threading
import time
import weakref
from collections.abc import Callable, Generator, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from edgeloop.edge.frame import Frame
from edgeloop.edge.sources import reconnect
from edgeloop.edge.sources.live import LivePolicy, LiveSource
from edgeloop.edge.sources.reconnect import Connection, open_live
from edgeloop.models.errors import UnavailableError
from tests.waiting import until

Image = NDArray[np.uint8]
PERIOD_S = 0.01


class Camera:
    """Camera on a desk: its plug, its lens and its cable are in the hands of the test.

    Attributes:
        plugged: False to refuse connections and to end those that are open.
        sends: Numbers of the connections that send frames; None for all.
        frozen: Send the same picture again and again.
        room: Maximum number of connections at a time.
        opened: Number of connections so far.
        tries: Monotonic clock in seconds of each attempt to connect.
        closed: Numbers of the connections that were closed.
    """

    def __init__(self) -> None:
        self.plugged = True
        self.sends: set[int] | None = None
        self.frozen = False
        self.room = 10
        self.opened = 0
        self.tries = list[float]()
        self.closed = list[int]()
        self._pictures = itertools.count()
        self._picture = np.zeros((8, 8, 3), np.uint8)

    def connect(self) -> Connection:
        self.tries.append(time.monotonic())
        if not self.plugged:
            raise UnavailableError("camera 0: unplugged")
        if self.opened - len(self.closed) >= self.room:
            raise UnavailableError("camera 0: in use")
        self.opened += 1
        return Connection(self._images(self.opened), 1 / PERIOD_S)

    def _images(self, number: int) -> Generator[Image]:
        try:
            while self.plugged:
                if self.sends is None or number in self.sends:
                    if not self.frozen:
                        self._picture = np.full((8, 8, 3), next(self._pictures) % 256, np.uint8)
                    yield self._picture.copy()
                time.sleep(PERIOD_S)
            raise UnavailableError("camera 0: unplugged")
        finally:
            self.closed.append(number)


def supervised(camera: Camera, *, frozen_s: float = 0.0, silent_s: float = 0.3) -> LiveSource:
    return open_live("camera 0", camera.connect, LivePolicy(60.0, math.inf, silent_s, frozen_s))


def frames_until(frames: Iterator[Frame], enough: Callable[[], bool], limit_s: float = 20.0) -> list[Frame]:
    """Take frames until there is enough."""
    taken, ends_at = list[Frame](), time.monotonic() + limit_s
    while not enough():
        taken.append(next(frames))
        assert time.monotonic() < ends_at
    return taken


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconnect, "PAUSES", ((math.inf, 0.05),))


@pytest.fixture
def camera() -> Iterator[Camera]:
    camera = Camera()
    yield camera
    camera.plugged = False


def test_a_camera_that_was_unplugged_is_back_and_both_are_said_once(
    camera: Camera, caplog: pytest.LogCaptureFixture
) -> None:
    with supervised(camera) as source:
        source.start(threading.Event())
        source.name = "yard"
        until(lambda: source.link.arrived > 5)
        camera.plugged = False
        until(lambda: source.link.status == "lost")
        until(lambda: source.link.stalled_s > 0.2)
        assert "unplugged" in source.link.reason
        camera.plugged = True
        until(lambda: source.link.status == "open")
        assert source.link.reason == ""
        over_s = source.link.stalled_s
        assert 0.2 < over_s < 20
        until(lambda: source.link.newest_at and time.monotonic() - source.link.newest_at < 0.05)
        assert source.link.stalled_s == over_s
        assert (source.link.reconnects, source.link.size) == (1, (8, 8))
    assert source.link.status == "ended"
    loss, back = (record.getMessage() for record in caplog.records)
    assert loss == "yard: camera 0: unplugged; opening it again"
    assert re.fullmatch(r"yard: back after \d+\.\d s", back)


def test_every_frame_that_arrived_has_a_fate_through_losses(camera: Camera) -> None:
    with supervised(camera) as source:
        frames, indices = iter(source), list[int]()
        for _ in range(3):
            camera.plugged = True
            indices += [next(frames).index for _ in range(4)]
            camera.plugged = False
            until(lambda: source.link.status == "lost")
        indices += [frame.index for frame in iter(source.take, None)]
        assert indices == sorted(set(indices))
        assert source.link.arrived == len(indices) + source.dropped + source.stale == indices[-1] + 1


def test_beside_a_silent_connection_another_one_is_opened_and_takes_over(
    camera: Camera, caplog: pytest.LogCaptureFixture
) -> None:
    with supervised(camera) as source:
        frames = iter(source)
        next(frames)
        camera.sends = {2}
        frames_until(frames, lambda: source.link.reconnects == 1)
        assert (source.link.status, camera.closed) == ("open", [])
    assert ["no frame for" in r.getMessage() for r in caplog.records] == [True, False]


def test_a_camera_that_sends_nothing_while_nothing_moves_keeps_its_connection(camera: Camera) -> None:
    with supervised(camera) as source:
        frames = iter(source)
        next(frames)
        camera.sends = set()
        until(lambda: source.link.status == "silent" and camera.opened == 2)
        time.sleep(0.5)
        assert camera.opened <= reconnect.MAX_LISTENING
        assert camera.closed == [], "nothing torn down"
        camera.sends = {1}
        until(lambda: source.link.status == "open")
        assert source.link.reconnects == 0


def test_a_camera_that_serves_one_at_a_time_keeps_its_first_connection(camera: Camera) -> None:
    camera.room = 1
    with supervised(camera) as source:
        frames = iter(source)
        next(frames)
        camera.sends, tried = set(), len(camera.tries)
        until(lambda: len(camera.tries) > tried + 2)
        assert (source.link.status, camera.closed) == ("silent", [])
        camera.sends = None
        until(lambda: source.link.status == "open")
        assert source.link.reconnects == 0


def test_a_frozen_picture_that_goes_on_after_reopening_stays_frozen_without_a_storm(
    camera: Camera, caplog: pytest.LogCaptureFixture
) -> None:
    with supervised(camera, frozen_s=0.2) as source:
        source.start(threading.Event())
        until(lambda: source.link.arrived > 5)
        camera.frozen = True
        until(lambda: source.link.status == "frozen")
        began_at = time.monotonic()
        until(lambda: camera.opened >= 3)
        assert source.link.status == "frozen"
        assert time.monotonic() - began_at > 0.15
        assert source.link.stalled_s > 0.3, "counted while it lasts"
        camera.frozen = False
        until(lambda: source.link.status == "open")
    loss, back = (record.getMessage() for record in caplog.records)
    assert loss == "camera 0: the same picture for 0 s; opening it again"
    assert "back after" in back


def test_frames_of_a_frozen_camera_all_arrive(camera: Camera) -> None:
    with supervised(camera, frozen_s=0.1) as source:
        frames = iter(source)
        next(frames)
        camera.frozen = True
        taken = frames_until(frames, lambda: camera.opened == 2)
        assert len(taken) + source.dropped >= 10


def test_a_connection_that_hangs_in_its_driver_holds_up_neither_the_next_nor_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reconnect, "OPEN_S", 0.1)
    release, tried = threading.Event(), list[int]()

    def connect() -> Connection:
        tried.append(len(tried))
        if len(tried) < 3:
            release.wait()
        return Connection(Camera()._images(1))

    source = open_live("camera 0", connect, LivePolicy(60.0, math.inf))
    assert next(iter(source)).image.shape == (8, 8, 3)
    assert len(tried) == 3
    began_at = time.monotonic()
    source.close()
    assert time.monotonic() - began_at < 10  # of a connection that hangs for ever
    assert source.link.status == "ended"
    release.set()


def test_connections_that_hang_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconnect, "OPEN_S", 0.01)
    release, tried = threading.Event(), list[int]()

    def connect() -> Connection:
        tried.append(len(tried))
        release.wait()
        raise UnavailableError("camera 0: unplugged")

    with open_live("camera 0", connect, LivePolicy(60.0, math.inf, silent_s=0.01)) as source:
        source.start(threading.Event())
        time.sleep(0.5)
        assert 1 < len(tried) <= reconnect.MAX_LISTENING
        assert source.link.status == "waiting"
        release.set()
        until(lambda: len(tried) > reconnect.MAX_LISTENING)


def test_a_machine_that_has_no_room_for_a_thread_is_waited_for(camera: Camera) -> None:
    with supervised(camera) as source:
        source.start(threading.Event())
        until(lambda: source.link.arrived > 1)
        usual = threading.stack_size(1 << 46)
        try:
            camera.plugged = False
            until(lambda: "thread" in source.link.reason)
        finally:
            threading.stack_size(usual)
        arrived, camera.plugged = source.link.arrived, True
        until(lambda: source.link.arrived > arrived + 1)
        assert source.link.status == "open"


def test_the_pause_grows_with_the_trouble_and_a_stop_interrupts_it(
    camera: Camera, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconnect, "PAUSES", ((0.4, 0.1), (math.inf, 30.0)))
    camera.plugged = False
    with supervised(camera) as source:
        source.start(threading.Event())
        time.sleep(0.8)
        assert 3 <= len(camera.tries) <= 6
        assert source.link.status == "waiting"
        assert source.link.stalled_s > 0.5, "a camera that was never there is stalled, too"
    assert not source._thread.is_alive()


@pytest.mark.parametrize(("steady_s", "tries"), [(10.0, 0), (0.0, 2)], ids=["goes on and off", "is steady"])
def test_pauses_start_anew_once_frames_arrive_for_a_while(
    camera: Camera, monkeypatch: pytest.MonkeyPatch, steady_s: float, tries: int
) -> None:
    monkeypatch.setattr(reconnect, "STEADY_S", steady_s)
    with supervised(camera) as source:
        source.start(threading.Event())
        until(lambda: source.link.arrived > 5)
        monkeypatch.setattr(reconnect, "PAUSES", ((0.2, 0.02), (math.inf, 30.0)))
        time.sleep(0.2)
        tried, camera.plugged = len(camera.tries), False
        time.sleep(0.4)
        assert min(len(camera.tries) - tried, 2) == tries


def test_an_error_of_any_kind_is_survived_and_its_text_kept_secret(caplog: pytest.LogCaptureFixture) -> None:
    tried = list[int]()

    def connect() -> Connection:
        tried.append(1)
        if len(tried) == 1:
            raise ValueError("rtsp://user:hunter2@yard/1")
        return Connection(Camera()._images(1))

    with open_live("rtsp://yard/1", connect, LivePolicy(60.0, math.inf)) as source:
        assert next(iter(source)).image.shape == (8, 8, 3)
    assert caplog.records[0].getMessage() == "rtsp://yard/1: ValueError; opening it again"
    assert "hunter2" not in caplog.text


def test_a_lost_connection_is_forgotten_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconnect, "PAUSES", ((math.inf, 0.02),))
    held: list[weakref.ref[threading.Event]] = []

    def images() -> Generator[Image, None, None]:
        of_connection = threading.Event()
        held.append(weakref.ref(of_connection))
        yield np.zeros((8, 8, 3), np.uint8)
        raise UnavailableError("camera: lost")

    gc.collect()
    gc.disable()
    try:
        with open_live("camera", lambda: Connection(images()), LivePolicy(reconnect_s=math.inf)) as source:
            source.start(threading.Event())
            while len(held) < 6:
                time.sleep(0.01)
        assert [reference() for reference in held[:4]] == [None] * 4
    finally:
        gc.enable()
