"""Bundle on a clip or camera: the loop of `edgeloop run` in a thread, its pictures as JPEG."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from edgeloop.edge.draw.annotate import annotate
from edgeloop.edge.frame import DEFAULT_FPS, Frame, Source
from edgeloop.edge.host.opencv import encode_image
from edgeloop.edge.loop.pipeline import results
from edgeloop.edge.runtime.detector import Detector
from edgeloop.edge.source_name import STDIN, hide_secrets, is_pipeline, shown_name
from edgeloop.edge.sources import open_source
from edgeloop.edge.web.page_events import Events
from edgeloop.models.detections import Detections
from edgeloop.models.errors import DataError, EdgeloopError, UnavailableError, UsageError

__all__ = ["LivePreview", "PreviewStatus"]

_MAX_SIDE_PX = 1280
_UNWATCHED_S = 10.0  # without anybody who looks, the source is closed
_EVENT_PERIOD_S = 0.5
_RATE_FRAMES = 30
_MAX_WATCHING = 8  # pages; each takes one of the 40 threads that answer requests while it waits
_CLOSING_S = 5.0
BOUNDARY = "frame"


class PreviewStatus(BaseModel):
    """State of the preview.

    Attributes:
        status: "opening" until the first frame is there.
        source: Name of the source, without secrets.
        fps: Frames per second of now.
        frames: Frames so far.
        dropped: Frames of a live source that a newer one replaced.
        error: One line if it failed.
    """

    status: Literal["idle", "opening", "running", "ended", "failed"] = "idle"
    source: str = ""
    fps: float = 0.0
    frames: int = 0
    dropped: int = 0
    error: str | None = None


class LivePreview:
    """At most one source at a time; closed if nobody watches."""

    def __init__(self, events: Events) -> None:
        """Wait for a source."""
        self._events = events
        self._starting = threading.Lock()
        self._watching = 0
        self._changed = threading.Condition()
        self._status = PreviewStatus()
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._picture = b""
        self._number = 0
        self._watched = 0.0

    def status(self) -> PreviewStatus:
        """State of now."""
        return self._status

    def start(self, text: str, open_detector: Callable[[], Detector], confidence: float) -> PreviewStatus:
        """Open a source after the one before was closed, and run the bundle on it.

        Args:
            text: Source as for `edgeloop run`; not the standard input, and no pipeline.
            open_detector: Opens the bundle.
            confidence: Minimum score of boxes that are drawn.

        Raises:
            UsageError: The kind of the source is not allowed here.
            DataError: The source before is still closing.
            NoInputError: There is no bundle.
            ModelError: It cannot be used.
        """
        if STDIN.fullmatch(text) or is_pipeline(text):
            raise UsageError("the page takes files, cameras, addresses and synth: scenes; use `edgeloop run`")
        detector = open_detector()
        with self._starting:  # of two pages, the one that comes last
            self.stop()
            if self._thread is not None and self._thread.is_alive():
                raise DataError("the source before is still being closed; try again in some seconds")
            self._stopping.clear()
            self._picture, self._watched = b"", time.monotonic()
            self._tell(PreviewStatus(status="opening", source=shown_name(text)))
            self._thread = threading.Thread(target=self._run, args=(text, detector, confidence), daemon=True)
            self._thread.start()
            return self._status

    def stop(self) -> None:
        """Close the source, and wait a while for its end."""
        self._stopping.set()
        with self._changed:
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(_CLOSING_S)

    def check_room(self) -> None:
        """Refuse one more page than can be served.

        Raises:
            UnavailableError: Too many pages show the pictures.
        """
        if self._watching >= _MAX_WATCHING:
            raise UnavailableError(f"{_MAX_WATCHING} pages show the clip or camera; close some")

    def pictures(self) -> Iterator[bytes]:
        """Yield pictures as parts of multipart/x-mixed-replace, the newest first, until the source ends."""
        with self._changed:
            self._watching += 1
        try:
            yield from self._pictures()
        finally:
            with self._changed:
                self._watching -= 1

    def _pictures(self) -> Iterator[bytes]:
        seen = 0
        while True:
            with self._changed:
                if self._number == seen and not self._over():
                    self._changed.wait(timeout=1.0)
                self._watched = time.monotonic()
                if self._over():
                    return
                fresh, seen, picture = self._number != seen, self._number, self._picture
            if fresh and picture:
                head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
                yield head.encode() + picture + b"\r\n"

    def _over(self) -> bool:
        return self._stopping.is_set() or self._status.status not in ("opening", "running")

    def _run(self, text: str, detector: Detector, confidence: float) -> None:
        try:
            with open_source(text) as source:
                self._show(source, detector, confidence)
            ended = self._status.model_copy(update={"status": "ended"})
        except EdgeloopError as error:
            ended = self._failed(hide_secrets(str(error), [text]))
        except Exception as error:  # whatever a decoder raises ends this preview alone
            ended = self._failed(hide_secrets(f"{type(error).__name__}: {error}", [text]))
        self._tell(ended)

    def _failed(self, message: str) -> PreviewStatus:
        line = (message.splitlines() or ["the source failed"])[0]
        return self._status.model_copy(update={"status": "failed", "error": line})

    def _show(self, source: Source, detector: Detector, confidence: float) -> None:
        names, times, told = detector.names, deque[float](maxlen=_RATE_FRAMES), 0.0
        began: float | None = None
        watcher = threading.Thread(target=self._stop_source, args=(source,), daemon=True)
        watcher.start()
        for number, result in enumerate(results(source, detector), start=1):
            if self._stopping.is_set():
                return
            if not source.live:  # plays at its own speed
                began = time.monotonic() - _seconds(result.frame, source) if began is None else began
                wait = began + _seconds(result.frame, source) - time.monotonic()
                if wait > 0 and self._stopping.wait(wait):
                    return
            found = result.detections
            picture = _drawn(result.frame.image, found[found.confidence >= confidence], names)
            times.append(time.monotonic())
            rate = (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 else 0.0
            status = PreviewStatus(
                status="running",
                source=source.name,
                fps=round(rate, 1),
                frames=number,
                dropped=source.dropped,
            )
            with self._changed:
                self._picture, self._number, self._status = picture, self._number + 1, status
                self._changed.notify_all()
            if times[-1] - told >= _EVENT_PERIOD_S:
                told = times[-1]
                self._tell(status)

    def _stop_source(self, source: Source) -> None:
        """Stop a source, which may be waiting for its next frame, if it is asked to or if nobody watches."""
        while not self._stopping.wait(1.0):
            if self._status.status not in ("opening", "running"):
                return
            if time.monotonic() - self._watched > _UNWATCHED_S:
                self._stopping.set()
        with suppress(Exception):
            source.stop()

    def _tell(self, status: PreviewStatus) -> None:
        with self._changed:
            self._status = status
            self._changed.notify_all()
        self._events.send("preview", status.model_dump())


def _seconds(frame: Frame, source: Source) -> float:
    return frame.index / (source.fps or DEFAULT_FPS) if frame.time_s is None else frame.time_s


def _drawn(image: NDArray[np.uint8], found: Detections, names: tuple[str, ...]) -> bytes:
    scale = min(1.0, _MAX_SIDE_PX / max(image.shape[:2]))
    if scale < 1:
        image = np.asarray(
            cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8
        )
        size = (image.shape[1], image.shape[0])
        masks = None if found.masks is None else found.masks.scaled(size)
        found = replace(found, xyxy=found.xyxy * np.float32(scale), masks=masks)
    return encode_image(".jpg", annotate(image, found, names), quality=80)
