"""Live sources: the newest frame wins, every loss is counted, and failures reach the consumer."""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import psutil
import pytest
from numpy.typing import NDArray

from edgeloop.edge.sources import capture, open_source, reconnect
from edgeloop.edge.sources.live import LivePolicy, LiveSource
from edgeloop.models.errors import UnavailableError
from tests.blocks import draw_block

Image = NDArray[np.uint8]


def camera(count: int | None, period_s: float, *, closed: threading.Event | None = None) -> Generator[Image]:
    """Images whose every pixel is their index, modulo 256."""
    try:
        for index in itertools.count() if count is None else range(count):
            yield np.full((8, 8, 3), index % 256, np.uint8)
            time.sleep(period_s)
    finally:
        if closed:
            closed.set()


def test_a_slow_consumer_gets_the_newest_frame_and_every_drop_is_counted() -> None:
    delivered = [-1]

    def counted() -> Generator[Image]:
        for index, image in enumerate(camera(100, 0.005)):
            delivered[0] = index
            yield image

    with LiveSource("camera", counted(), fps=200) as source:
        taken, frames = [], iter(source)
        while True:
            arrived = delivered[0] - 1  # the last one may still be on its way
            if (frame := next(frames, None)) is None:
                break
            taken.append(frame.index)
            assert frame.index >= arrived, "an old frame was handed out"
            assert int(frame.image[0, 0, 0]) == frame.index
            while delivered[0] < min(frame.index + 5, 99):  # it is slower than the camera
                time.sleep(0.001)
    assert taken == sorted(taken)
    assert len(taken) < 30
    assert len(taken) + source.dropped == 100


def test_a_fast_consumer_loses_nothing() -> None:
    free = threading.Semaphore()

    def patient() -> Generator[Image]:
        for image in camera(10, 0):
            free.acquire()
            yield image

    indices = []
    with LiveSource("camera", patient(), fps=20) as source:
        for frame in source:
            indices.append(frame.index)
            free.release()
    assert indices == list(range(10))
    assert source.dropped == 0


def test_a_frame_that_waited_too_long_is_stale_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 100.0
    asked = threading.Event()
    clock = SimpleNamespace(monotonic=lambda: now_s, time=time.time)
    monkeypatch.setattr("edgeloop.edge.sources.live.time", clock)

    def late() -> Generator[Image]:
        yield np.full((8, 8, 3), 0, np.uint8)
        yield np.full((8, 8, 3), 1, np.uint8)
        asked.wait()
        yield np.full((8, 8, 3), 2, np.uint8)

    with LiveSource("camera", late(), fps=None, policy=LivePolicy(max_age_s=0.1)) as source:
        source.start(threading.Event())
        while source.dropped == 0:
            time.sleep(0.001)
        now_s += 0.2  # the model is busy for longer than a frame may wait
        assert source.take() is None
        assert (source.dropped, source.stale) == (1, 1)
        asked.set()
        while (frame := source.take()) is None:
            time.sleep(0.001)
        assert (frame.index, source.stale) == (2, 1)


def test_memory_stays_flat_behind_a_slow_consumer() -> None:
    def large() -> Generator[Image]:
        for _ in range(400):
            yield np.full((720, 1280, 3), 1, np.uint8)  # 2.8 MB each, 1.1 GB in all

    with LiveSource("camera", large(), fps=None) as source:
        frames = iter(source)
        next(frames)
        before = psutil.Process().memory_info().rss
        while source.dropped <= 20:
            time.sleep(0.01)
        assert psutil.Process().memory_info().rss - before < 30e6


def test_an_error_in_the_thread_reaches_the_consumer_after_the_last_frame() -> None:
    def failing() -> Generator[Image]:
        yield np.zeros((8, 8, 3), np.uint8)
        time.sleep(0.05)
        raise UnavailableError("camera 0: unplugged")

    with LiveSource("camera", failing(), fps=None) as source:
        frames = iter(source)
        assert next(frames).index == 0
        with pytest.raises(UnavailableError, match="unplugged"):
            next(frames)


@pytest.mark.slow
def test_stop_wakes_a_consumer_that_waits_in_vain() -> None:
    with LiveSource("camera", camera(None, 5), fps=None) as source:
        frames = iter(source)
        next(frames)
        threading.Timer(0.1, source.stop).start()
        assert list(frames) == []


def test_closing_releases_the_device_in_the_capture_thread() -> None:
    closed = threading.Event()
    with LiveSource("camera", camera(None, 0.01, closed=closed), fps=None) as source:
        next(iter(source))
    assert closed.wait(20)


@contextmanager
def http_server(serve: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[ThreadingHTTPServer]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            serve(self)

        def log_message(self, *_args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def send_mjpeg(handler: BaseHTTPRequestHandler, frames: int) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
    handler.end_headers()
    for index in range(frames):
        data = cv2.imencode(".jpg", draw_block(index % 40))[1].tobytes()
        handler.wfile.write(b"--frame\r\nContent-Type: image/jpeg\r\n")
        handler.wfile.write(b"Content-Length: %d\r\n\r\n%s\r\n" % (len(data), data))
        time.sleep(0.01)


def address(server: ThreadingHTTPServer) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}/stream"


@pytest.mark.slow
def test_an_mjpeg_stream_is_live_and_ends_when_its_server_ends_it() -> None:
    with (
        http_server(lambda handler: send_mjpeg(handler, 60)) as server,
        open_source(address(server)) as source,
    ):
        assert source.live
        frames = [frame.index for frame in source]
        assert len(frames) + source.dropped == 60


@pytest.mark.slow
def test_a_stream_that_goes_silent_is_a_lost_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture, "TIMEOUT_S", 1.0)
    hold = threading.Event()

    def serve(handler: BaseHTTPRequestHandler) -> None:
        send_mjpeg(handler, 40)
        hold.wait(10)

    with http_server(serve) as server, open_source(address(server)) as source:
        with pytest.raises(UnavailableError, match="no frame for 1 s; the connection is lost"):
            list(source)
        hold.set()


@pytest.mark.slow
def test_a_stream_whose_server_dies_is_a_lost_connection() -> None:
    with (
        http_server(lambda handler: send_mjpeg(handler, 150)) as server,
        open_source(address(server)) as source,
    ):
        frames = iter(source)
        next(frames)
        server.shutdown()
        server.server_close()
        with pytest.raises(UnavailableError, match=r"broke off after \d+ frames: nobody answers"):
            list(frames)


@pytest.mark.slow
def test_a_stream_that_broke_off_is_opened_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconnect, "PAUSES", ((math.inf, 0.05),))
    served = []

    def serve(handler: BaseHTTPRequestHandler) -> None:
        served.append(handler)
        if len(served) == 2:
            handler.send_error(503)
        else:
            send_mjpeg(handler, 60)

    with (
        http_server(serve) as server,
        open_source(address(server), LivePolicy(reconnect_s=30)) as source,
    ):
        frames = iter(source)
        indices = [next(frames).index for _ in range(20)]
        while len(served) < 4:  # the first, one that fails, two that follow
            indices.append(next(frames).index)
    assert indices == sorted(set(indices))
    assert indices[-1] >= 60, "counted on over the gap"


@pytest.mark.slow
def test_a_stream_that_stays_away_fails_once_patience_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconnect, "PAUSES", ((math.inf, 0.05),))
    with (
        http_server(lambda handler: send_mjpeg(handler, 150)) as server,
        open_source(address(server), LivePolicy(reconnect_s=2)) as source,
    ):
        frames = iter(source)
        next(frames)
        server.shutdown()
        server.server_close()
        with pytest.raises(UnavailableError, match=r"nobody answers at .*; not back within 2 s"):
            list(frames)


@pytest.mark.slow
def test_a_stream_that_is_not_there_yet_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconnect, "PAUSES", ((math.inf, 0.05),))
    asked = []

    def serve(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler)
        if len(asked) < 3:
            handler.send_error(503)
        else:
            send_mjpeg(handler, 60)

    with (
        http_server(serve) as server,
        open_source(address(server), LivePolicy(reconnect_s=math.inf)) as source,
    ):
        assert next(iter(source)).image.shape == (120, 160, 3)


def test_a_stream_that_never_comes_fails_once_patience_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconnect, "PAUSES", ((math.inf, 0.05),))
    source = open_source("rtsp://127.0.0.1:9/1", LivePolicy(reconnect_s=0.3))
    started_at = time.monotonic()
    with source, pytest.raises(UnavailableError, match=r"nobody answers at .*; not there within 0.3 s"):
        list(source)
    assert time.monotonic() - started_at >= 0.3


def test_closing_ends_the_wait_for_a_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconnect, "PAUSES", ((math.inf, 0.05),))
    before = threading.active_count()
    with open_source("rtsp://127.0.0.1:9/1", LivePolicy(reconnect_s=math.inf)) as source:
        threading.Timer(0.2, source.stop).start()
        assert list(source) == []
    assert threading.active_count() == before


def test_a_server_that_sends_no_video_is_told_from_one_that_is_not_there() -> None:
    def serve(handler: BaseHTTPRequestHandler) -> None:
        handler.send_error(404)

    with (
        http_server(serve) as server,
        pytest.raises(UnavailableError, match="the server answers, but not with"),
    ):
        open_source(address(server))


def test_a_video_behind_an_address_is_a_recording_of_which_every_frame_counts(clip: Path) -> None:
    def serve(handler: BaseHTTPRequestHandler) -> None:
        data = clip.read_bytes()
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    with http_server(serve) as server, open_source(address(server)) as source:
        assert (source.live, source.length) == (False, 40)
        assert [frame.index for frame in source] == list(range(40))
