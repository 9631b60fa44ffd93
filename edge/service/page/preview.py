"""Preview of the cameras: newest results as JPEG, encoded once for all viewers while somebody looks."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import cv2

from edgeloop.edge.draw.annotate import annotate
from edgeloop.edge.result import Result, Sink
from edgeloop.edge.service.board import Board, CameraState
from edgeloop.models.errors import UnavailableError

__all__ = ["Picture", "Preview"]

log = logging.getLogger(__name__)

FPS = 10.0
"""Highest rate at which one camera is encoded."""

MAX_VIEWERS = 32
"""Viewers at a time; each holds a connection and at most one picture."""

_FIRST_S = 3.0  # for a picture that was asked for
_QUALITY = 80


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """Encoded result.

    Attributes:
        jpeg: JPEG with zones, boxes and ids.
        captured_at: Monotonic clock in seconds when its frame arrived.
    """

    jpeg: bytes
    captured_at: float


@dataclass(slots=True, eq=False)
class _Channel:
    """One camera: its newest result, and those who wait for the next picture."""

    camera: CameraState
    names: Sequence[str] = ()
    newest: Result | None = None
    picture: Picture | None = None
    next_at: float = 0.0
    viewers: set[asyncio.Event] = field(default_factory=set)

    @property
    def is_behind(self) -> bool:
        """True if there is a result that the picture does not show."""
        newest, picture = self.newest, self.picture
        return newest is not None and (picture is None or picture.captured_at != newest.frame.captured_at)


class Preview:
    """Encoder of the newest result of each camera that somebody looks at, in a thread of its own."""

    def __init__(self, board: Board) -> None:
        """Prepare; the thread starts with `start`."""
        self._board = board
        self._channels: dict[str, _Channel] = {}
        self._bell = threading.Event()
        self._closed = False
        self._viewers = self._encoded = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._encode_all, name="preview", daemon=True)

    def sink(self, camera: CameraState) -> Sink:
        """Make the sink of a camera, which only keeps its newest result."""
        channel = self._channels[camera.name] = _Channel(camera, camera.stream.meter.names)
        return _NewestResult(channel, self._bell)

    def start(self) -> None:
        """Start to encode what is looked at."""
        self._note()
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._closed = True
        self._bell.set()
        if self._thread.is_alive():
            self._thread.join(timeout=1.0)

    def end_streams(self) -> None:
        """End the streams of all viewers, from the thread of the event loop."""
        self._closed = True
        for channel in self._channels.values():
            for viewer in channel.viewers:
                viewer.set()

    def __contains__(self, camera: object) -> bool:
        """True if there is such a camera."""
        return camera in self._channels

    def check_room(self) -> None:
        """Refuse one more viewer than can be served.

        Raises:
            UnavailableError: Too many look.
        """
        if self._viewers >= MAX_VIEWERS:
            raise UnavailableError(f"{MAX_VIEWERS} viewers are connected; close some")

    async def newest(self, camera: str) -> Picture:
        """Picture of the newest result of a camera, at most `1 / FPS` seconds old unless it gives none.

        Raises:
            UnavailableError: It gave no frame yet, or too many look.
        """
        with self.viewer(camera) as viewer:
            pictures = self.stream(camera, viewer)
            with suppress(TimeoutError):
                async with asyncio.timeout(_FIRST_S):
                    async for picture in pictures:
                        return picture
        raise UnavailableError(f"{camera}: no frame yet")

    @contextmanager
    def viewer(self, camera: str) -> Iterator[asyncio.Event]:
        """Count one viewer of a camera; only in the event loop.

        Raises:
            UnavailableError: Too many look.
        """
        self.check_room()
        viewer = asyncio.Event()
        channel = self._channels[camera]
        self._loop = asyncio.get_running_loop()
        channel.viewers.add(viewer)
        self._viewers += 1
        self._note()
        self._bell.set()
        try:
            yield viewer
        finally:
            channel.viewers.discard(viewer)
            self._viewers -= 1
            self._note()

    async def stream(self, camera: str, viewer: asyncio.Event) -> AsyncIterator[Picture]:
        """Pictures for a viewer, the newest each time it is ready for one, until the preview closes."""
        channel, shown = self._channels[camera], None
        while not self._closed:
            picture = channel.picture
            if picture is None or picture is shown or (shown is None and channel.is_behind):
                await viewer.wait()
                viewer.clear()
                picture = channel.picture
            if picture is not None and picture is not shown and not self._closed:
                shown = picture
                yield picture

    def _note(self) -> None:
        self._board.set_figures("preview", viewers=self._viewers, encoded=self._encoded)

    def _encode_all(self) -> None:
        rested_at = 0.0
        while not self._closed:
            looked_at = [each for each in self._channels.values() if each.viewers and each.is_behind]
            channel = min(looked_at, key=lambda each: each.next_at, default=None)
            now = time.monotonic()
            if channel is None or now < max(channel.next_at, rested_at):
                self._bell.wait(None if channel is None else max(channel.next_at, rested_at) - now)
                self._bell.clear()
                continue
            channel.next_at = now + 1 / FPS
            self._encode(channel)
            ended_at = time.monotonic()
            rested_at = ended_at + (ended_at - now)  # at most half a core, for any number of cameras

    def _encode(self, channel: _Channel) -> None:
        result, zones = channel.newest, channel.camera.stream.zones
        if result is None:
            return
        try:
            drawn = annotate(result.frame.image, result.detections, channel.names, zones=zones)
            coded, jpeg = cv2.imencode(".jpg", drawn, (cv2.IMWRITE_JPEG_QUALITY, _QUALITY))
        except Exception as error:  # such as counts of zones that changed while they were read
            log.debug("preview of %s: %s", channel.camera.name, error)
            return
        if coded:
            channel.picture = Picture(jpeg.tobytes(), result.frame.captured_at)
            self._encoded += 1
            self._note()
            if self._loop is not None:
                with suppress(RuntimeError):  # the server has ended
                    self._loop.call_soon_threadsafe(_wake, channel)


def _wake(channel: _Channel) -> None:
    for viewer in channel.viewers:
        viewer.set()


class _NewestResult(Sink):
    """Sink that keeps the newest result by reference, and rings if somebody looks."""

    def __init__(self, channel: _Channel, bell: threading.Event) -> None:
        self._channel, self._bell = channel, bell

    def write(self, result: Result) -> None:
        self._channel.newest = result
        if self._channel.viewers:
            self._bell.set()

    def close(self) -> None:
        pass
