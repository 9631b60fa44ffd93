"""Cameras on 127.0.0.1 that show a known scene over HTTP, and fail on demand.

A bright block passes a line and then a zone, and is gone for a while before the next one comes: each pass is
one `cross`, one `enter` and one `leave`. No two pictures of a pass are the same, as with a real sensor.
"""

from __future__ import annotations

import io
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import av
import cv2
import numpy as np
from numpy.typing import NDArray

FPS = 10
PASS_FRAMES = 60
"""Frames of one pass, the empty ones at its end included."""

BLOCK_FRAMES = 40
EVENTS = ("cross", "enter", "leave")
"""Events of one pass, each once."""

SIZES = {"ok": (320, 240), "resized": (400, 300)}
KEY_FRAMES = 10
"""Pictures from one key frame to the next."""

TIME_BASE = Fraction(1, 90_000)

Kind = Literal["mjpeg", "h264"]
Mode = Literal["ok", "silent", "frozen", "garbage", "resized", "slow"]
Marker = Literal["none", "nan", "hang"]
"""Patch of color that makes `faulty_block_finder` answer with NaN, or not at all."""

_COLORS = {"nan": (0, 0, 200), "hang": (200, 0, 0)}
_HEADERS = {
    "mjpeg": b"multipart/x-mixed-replace; boundary=frame",
    "h264": b"video/mp2t",
}


def draw_pass(index: int, size: tuple[int, int], marker: Marker = "none") -> NDArray[np.uint8]:
    """Draw a picture of a pass: HxWx3 uint8 BGR, with its number in dim stripes at the top."""
    width, height = size
    image = np.full((height, width, 3), 40, np.uint8)
    for bit in range(6):
        if index >> bit & 1:
            image[4:12, 8 + 12 * bit : 16 + 12 * bit] = 100
    if index < BLOCK_FRAMES:
        x = round(width * (0.08 + 0.87 * index / (BLOCK_FRAMES - 1)))
        half = width // 16
        image[round(height * 0.35) : round(height * 0.65), max(0, x - half) : x + half] = 255
    if marker != "none":
        image[height * 3 // 4 : height * 3 // 4 + 48, 16:64] = _COLORS[marker]
    return image


def write_zones(path: Path) -> Path:
    """Write the zone file of the scene."""
    zone = {"name": "yard", "polygon": [[0.35, 0], [0.75, 0], [0.75, 1], [0.35, 1]]}
    line = {"name": "gate", "from": [0.2, 0], "to": [0.2, 1]}
    path.write_text(json.dumps({"zones": [zone], "lines": [line], "units": "shares"}))
    return path


class SceneClock:
    """Clock of a scene: number of the picture that is due, the same for all cameras that share it."""

    def __init__(self, fps: float = FPS) -> None:
        self.fps = fps
        self.began_at = time.monotonic()

    def due(self, number: int) -> float:
        """Monotonic time in seconds of a picture."""
        return self.began_at + number / self.fps

    def now(self) -> int:
        """Number of the newest picture."""
        return int((time.monotonic() - self.began_at) * self.fps)


class CameraServer:
    """Camera on a port of its own.

    Attributes:
        marker: Patch of color that its pictures show.
        port: Its port.
        connections: Number of connections so far.
    """

    def __init__(self, kind: Kind, clock: SceneClock | None = None) -> None:
        self.kind = kind
        self.clock = clock or SceneClock()
        self._mode: Mode = "ok"
        self._frozen = 0
        self.marker: Marker = "none"
        self.connections = 0
        self.port = 0
        self._open: set[socket.socket] = set()
        self._listener: socket.socket | None = None
        self.listen()

    @property
    def mode(self) -> Mode:
        """Behavior towards whoever is connected."""
        return self._mode

    @mode.setter
    def mode(self, mode: Mode) -> None:
        self._frozen, self._mode = self.clock.now(), mode

    @property
    def url(self) -> str:
        """Address for a source of `edgeloop`."""
        return f"http://127.0.0.1:{self.port}/camera.{'mjpg' if self.kind == 'mjpeg' else 'ts'}"

    def listen(self) -> None:
        """Accept connections, on the same port as before."""
        self._listener = listener = socket.create_server(("127.0.0.1", self.port), reuse_port=False)
        self.port = listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(listener,), name="camera server", daemon=True).start()

    def refuse(self) -> None:
        """Close all connections, and refuse new ones."""
        if self._listener is not None:
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        self.hang_up()

    def hang_up(self) -> None:
        """Close all connections."""
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> CameraServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.refuse()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=self._serve, args=(connection,), name="camera", daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        self._open.add(connection)
        with suppress(OSError), connection:
            request = b""
            while b"\r\n\r\n" not in request:
                if not (more := connection.recv(4096)):
                    return
                request += more
            self.connections += 1
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: " + _HEADERS[self.kind])
            connection.sendall(b"\r\nConnection: close\r\n\r\n")
            send = self._send_jpegs if self.kind == "mjpeg" else self._send_packets
            send(connection)
        self._open.discard(connection)

    def _send_jpegs(self, connection: socket.socket) -> None:
        for number, shown in self._pictures(connection, self.clock.now()):
            data = _jpeg(shown % PASS_FRAMES, self._size(), self.marker)
            if self.mode == "garbage":
                data = np.random.default_rng(number).bytes(len(data))
            head = b"Content-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(data)
            connection.sendall(b"--frame\r\n" + head + data + b"\r\n")

    def _send_packets(self, connection: socket.socket) -> None:
        stream_like = _encode(SIZES["ok"], "none").stream
        written = _Written()
        with av.open(written, "w", "mpegts", options={"flush_packets": "1"}) as container:
            stream = container.add_stream_from_template(stream_like)
            first = self.clock.now() // KEY_FRAMES * KEY_FRAMES  # begins at the newest key frame
            for number, shown in self._pictures(connection, first):
                index = shown % PASS_FRAMES
                if self.mode == "frozen":  # a key frame again and again, as it decodes to the same picture
                    index = index // KEY_FRAMES * KEY_FRAMES
                data, is_key = _encode(self._size(), self.marker).packets[index]
                if self.mode == "garbage":
                    data = data[:6] + np.random.default_rng(number).bytes(max(0, len(data) - 6))
                packet = av.Packet(data)
                packet.stream, packet.time_base, packet.is_keyframe = stream, TIME_BASE, is_key
                packet.pts = packet.dts = round((number - first) / self.clock.fps / TIME_BASE)
                container.mux(packet)
                connection.sendall(written)
                written.clear()

    def _size(self) -> tuple[int, int]:
        return SIZES["resized" if self.mode == "resized" else "ok"]

    def _pictures(self, connection: socket.socket, number: int) -> Iterator[tuple[int, int]]:
        """Number of each picture when it is due, and that of the picture to show in its place."""
        while True:
            time.sleep(max(0.0, self.clock.due(number) - time.monotonic()))
            mode = self.mode
            if mode == "silent":
                _raise_if_closed(connection)
            elif mode != "slow" or number % 5 == 0:
                yield number, self._frozen if mode == "frozen" else number
            number += 1


def _raise_if_closed(connection: socket.socket) -> None:
    """Raise OSError if the other side has gone; a server that sends nothing would not see it."""
    connection.setblocking(False)
    try:
        if connection.recv(1024) == b"":
            raise ConnectionResetError
    except BlockingIOError:
        pass
    finally:
        connection.setblocking(True)


@cache
def _jpeg(index: int, size: tuple[int, int], marker: Marker) -> bytes:
    return cv2.imencode(".jpg", draw_pass(index, size, marker), [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()


class _Encoded(NamedTuple):
    stream: av.VideoStream
    packets: list[tuple[bytes, bool]]


@cache
def _encode(size: tuple[int, int], marker: Marker) -> _Encoded:
    """Encode one pass in H.264, once: stream to copy the settings of, and packets, True for key frames."""
    memory = io.BytesIO()
    with av.open(memory, "w", "mpegts") as made:
        stream = made.add_stream("libx264", rate=FPS)
        stream.width, stream.height = size
        stream.pix_fmt, stream.gop_size = "yuv420p", KEY_FRAMES
        stream.options = {"tune": "zerolatency", "preset": "veryfast", "qp": "20", "sc_threshold": "0"}
        for index in range(PASS_FRAMES):
            image = av.VideoFrame.from_ndarray(draw_pass(index, size, marker), format="bgr24")
            made.mux(stream.encode(image))
        made.mux(stream.encode(None))
    memory.seek(0)
    read = av.open(memory, "r")
    packets = [(bytes(packet), packet.is_keyframe) for packet in read.demux(video=0) if packet.size]
    return _Encoded(read.streams.video[0], packets)


class _Written(bytearray):
    """File that a container is written to, emptied by whoever sends it on."""

    def write(self, data: bytes) -> int:
        self.extend(data)
        return len(data)


def encode_all() -> None:
    """Encode every picture that a camera may be asked for, so that none comes late."""
    for size in SIZES.values():
        for marker in get_args(Marker):
            _encode(size, marker)
            for index in range(PASS_FRAMES):
                _jpeg(index, size, marker)
