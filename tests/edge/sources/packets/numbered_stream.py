"""Servers of streams whose pictures bear their number, to tell from a decoded picture which one it is."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import av
import cv2
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray

FPS = 40
_BITS, _SIDE = 10, 16


def picture(number: int, size: tuple[int, int] = (320, 240)) -> NDArray[np.uint8]:
    """Draw the number as ten black or white squares on gray: HxWx3 uint8, BGR."""
    image = np.full((size[1], size[0], 3), 128, np.uint8)
    for bit in range(_BITS):
        image[:_SIDE, bit * _SIDE : (bit + 1) * _SIDE] = 255 * (number >> bit & 1)
    return image


def number_of(image: NDArray[np.uint8]) -> int:
    """Read the number of a picture."""
    centers = image[_SIDE // 2, _SIDE // 2 : _BITS * _SIDE : _SIDE].mean(axis=-1)
    return sum(1 << bit for bit, value in enumerate(centers) if value > 128)


class _Pieces(io.RawIOBase):
    """File that keeps what was written since it was asked."""

    def __init__(self) -> None:
        self._data = b""

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._data += bytes(data)
        return len(data)

    def take(self) -> bytes:
        data, self._data = self._data, b""
        return data


def mpeg_ts(
    numbers: Iterable[int],
    *,
    size: tuple[int, int] = (320, 240),
    codec: str = "libx264",
    group: int = 10,
    container: str = "mpegts",
    options: dict[str, str] | None = None,
) -> Iterator[bytes]:
    """Encode pictures into an MPEG transport stream or another live container, one piece for each."""
    pieces = _Pieces()
    quiet = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    with av.open(pieces, "w", format=container, options={"flush_packets": "1"}) as muxer:
        stream = muxer.add_stream(codec, rate=FPS)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height = size
        stream.pix_fmt, stream.gop_size = "yuv420p", group
        stream.options = {**(options or {"tune": "zerolatency", "preset": "ultrafast"}), **quiet}
        for number in numbers:
            image = av.VideoFrame.from_ndarray(picture(number, size), format="bgr24")
            for packet in stream.encode(image):
                muxer.mux(packet)
            yield pieces.take()


def multipart(numbers: Iterable[int], size: tuple[int, int] = (320, 240)) -> Iterator[bytes]:
    """Encode pictures as parts of a multipart answer."""
    for number in numbers:
        data = cv2.imencode(".jpg", picture(number, size))[1].tobytes()
        head = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(data)
        yield head + data + b"\r\n"


@contextmanager
def served(
    pieces: Callable[[], Iterable[bytes]], kind: str = "video/mp2t", *, fps: float = FPS
) -> Iterator[str]:
    """Serve a stream under the address that is given, from its beginning to everybody who asks.

    Args:
        pieces: Makes the pieces of an answer, which are sent one by one in real time.
        kind: Content type.
        fps: Pieces a second.
    """
    ended = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.end_headers()
            due_at = time.monotonic()
            try:
                for piece in pieces():
                    self.wfile.write(piece)
                    due_at += 1 / fps
                    if ended.wait(max(0.0, due_at - time.monotonic())):
                        return
            except OSError:
                return

        def log_message(self, *_args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/stream"
    finally:
        ended.set()
        server.shutdown()
        server.server_close()


MULTIPART = "multipart/x-mixed-replace; boundary=frame"
