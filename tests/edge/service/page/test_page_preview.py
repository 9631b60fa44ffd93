"""Preview: encoded once for all viewers, only while one looks, and never slowed by one."""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import av
import cv2
import numpy as np
import pytest

from edgeloop.edge.service.page import preview as preview_module
from edgeloop.edge.service.page import preview_api as preview_api_module
from tests.edge.service.page.page_service import Running
from tests.waiting import until


@contextmanager
def stream(service: Running, camera: str = "belt") -> Iterator[http.client.HTTPResponse]:
    parts = urlsplit(service.url)
    link = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    try:
        link.request("GET", f"/cameras/{camera}.mjpg")
        yield link.getresponse()
    finally:
        link.close()


def next_picture(reply: http.client.HTTPResponse) -> bytes:
    assert reply.readline().startswith(b"--")
    assert reply.readline() == b"Content-Type: image/jpeg\r\n"
    size = int(reply.readline().removeprefix(b"Content-Length: "))
    reply.readline()
    jpeg = reply.read(size)
    assert reply.readline() == b"\r\n"
    return jpeg


def encoded(service: Running) -> float:
    return service.board.figures()["preview"]["encoded"]


def viewers(service: Running) -> float:
    return service.board.figures()["preview"]["viewers"]


def frames(service: Running, camera: str = "belt") -> int:
    return service.board.cameras[camera].stream.meter.frames


def test_nothing_is_encoded_while_nobody_looks(service: Running) -> None:
    until(lambda: viewers(service) == 0)
    time.sleep(0.15)  # for one that was in the making
    before, done = encoded(service), frames(service)
    until(lambda: frames(service) > done + 5)
    assert encoded(service) == before


def test_the_newest_picture_has_boxes_and_zones(service: Running) -> None:
    status, headers, jpeg = service.ask("GET", "cameras/belt.jpg")
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert (status, headers["content-type"], headers["cache-control"]) == (200, "image/jpeg", "no-store")
    assert image.shape == (120, 160, 3)
    blue, _, red = (image[..., channel].astype(int) for channel in range(3))
    assert ((blue > 200) & (red < 120)).any()  # color of the first class
    assert ((red > 180) & (blue < 150)).any()  # color of zones


def test_all_viewers_get_the_same_picture_encoded_once(service: Running) -> None:
    with stream(service) as one, stream(service) as other, stream(service) as third:
        for reply in (one, other, third):
            assert reply.status == 200
            assert reply.getheader("Content-Type", "").startswith("multipart/x-mixed-replace; boundary=")
        before, began_at = encoded(service), time.monotonic()
        shown = [[next_picture(reply) for reply in (one, other, third)] for _ in range(8)]
        spent_s, made = time.monotonic() - began_at, encoded(service) - before
    assert len({jpeg for row in shown for jpeg in row}) <= made + 2
    assert made <= preview_module.FPS * spent_s + 2
    until(lambda: viewers(service) == 0)


def test_ffmpeg_reads_the_stream_as_the_docs_say(service: Running) -> None:
    with av.open(f"{service.url}cameras/belt.mjpg", format="mpjpeg", timeout=10) as opened:
        frames = [frame for frame, _ in zip(opened.decode(video=0), range(3), strict=False)]
    assert [(frame.width, frame.height) for frame in frames] == [(160, 120)] * 3


def test_who_does_not_read_slows_nobody(service: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preview_api_module, "PATIENCE_S", 0.5)
    monkeypatch.setattr(preview_module, "FPS", 200.0)
    parts = urlsplit(service.url)
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        slow.connect((parts.hostname, parts.port))
        slow.sendall(f"GET /cameras/door.mjpg HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode())
        until(lambda: viewers(service) == 1)
        with stream(service, "door") as quick:
            before = {name: frames(service, name) for name in ("door", "belt")}
            for _ in range(20):
                next_picture(quick)
            shown = {name: frames(service, name) - done for name, done in before.items()}
            assert shown["door"] >= 0.6 * shown["belt"], "as many as of a camera that nobody looks at"
        until(lambda: viewers(service) <= 1)


def test_a_viewer_that_does_not_read_is_dropped(service: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preview_api_module, "PATIENCE_S", 0.2)
    service.cameras["door"].noise.set()
    parts = urlsplit(service.url)
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        slow.connect((parts.hostname, parts.port))
        slow.sendall(f"GET /cameras/door.mjpg HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode())
        until(lambda: viewers(service) == 1)
        until(lambda: viewers(service) == 0)
    service.cameras["door"].noise.clear()


def test_viewers_are_bounded(service: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    until(lambda: viewers(service) == 0)
    monkeypatch.setattr(preview_module, "MAX_VIEWERS", 2)
    with stream(service) as one, stream(service) as other:
        next_picture(one)
        next_picture(other)
        for path in ("cameras/belt.mjpg", "cameras/belt.jpg"):
            assert service.ask("GET", path)[0] == 503
    until(lambda: viewers(service) == 0)
    assert service.ask("GET", "cameras/belt.jpg")[0] == 200


def test_a_camera_that_stopped_keeps_its_last_picture(service: Running) -> None:
    camera = service.cameras["door"]
    camera.on.clear()
    time.sleep(0.15)
    first = service.ask("GET", "cameras/door.jpg")[2]
    assert service.ask("GET", "cameras/door.jpg")[2] == first
    camera.on.set()


@pytest.mark.parametrize("name", ["none", "..%2fbelt", "belt%00", "x" * 500, "%ff", ""])
def test_no_other_camera_is_there(service: Running, name: str) -> None:
    for suffix in ("jpg", "mjpg"):
        assert service.ask("GET", f"cameras/{name}.{suffix}")[0] == 404
