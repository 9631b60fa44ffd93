"""Recordings: a video file, or an address behind which one lies; every frame in order."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator
from pathlib import Path

import cv2

from edgeloop.edge.frame import Frame, Source
from edgeloop.edge.host.opencv import open_capture
from edgeloop.models.errors import DataError, UnavailableError

__all__ = ["Recording", "frame_count", "nominal_fps", "open_video"]

log = logging.getLogger(__name__)

SHORTFALL = 0.9
"""Containers estimate their number of frames; something is missing only below this share of it."""


class Recording(Source):
    """The frames of one video, decoded as they are asked for."""

    live = False
    dropped = 0
    skipped = 0

    def __init__(self, name: str, capture: cv2.VideoCapture, *, remote: bool = False) -> None:
        """Take over an open capture.

        Args:
            name: The source as a person would call it.
            capture: Open; released by `close`.
            remote: Whether the video comes over a network, so that an early end is a failed connection.
        """
        self.name = name
        self.fps = nominal_fps(capture)
        self.length = frame_count(capture)
        self._capture = capture
        self._remote = remote
        self._stopped = False

    def __iter__(self) -> Iterator[Frame]:
        index = 0
        while not self._stopped:
            read, image = self._capture.read()
            if not read:
                self._check_end(index)
                return
            yield Frame(image, index, time.monotonic(), time.time(), self.name)
            index += 1

    def stop(self) -> None:
        self._stopped = True

    def close(self) -> None:
        self.stop()
        self._capture.release()

    def _check_end(self, frames: int) -> None:
        """Tell the end of the video from a video that breaks off."""
        if frames == 0:
            raise DataError(f"source {self.name}: the video opens but holds no frame that can be decoded")
        if self.length is None or frames >= SHORTFALL * self.length:
            return
        message = f"source {self.name}: the video breaks off after {frames} of {self.length} frames"
        if self._remote:
            raise UnavailableError(f"{message}; the connection failed, try again")
        log.warning("%s; the file seems cut off", message)


def open_video(path: Path) -> Recording:
    """Open a video file.

    Args:
        path: An existing file.

    Returns:
        A source of every frame.

    Raises:
        DataError: OpenCV cannot open it.
    """
    capture = open_capture(str(path), timeout_s=0)
    if capture is None:
        raise DataError(
            f"source {path}: neither an image nor a video that OpenCV can open (corrupt, or no codec for it)"
        )
    return Recording(str(path), capture)


def nominal_fps(capture: cv2.VideoCapture) -> float | None:
    """Frames a second as the device or container states them; None where it states nothing sensible."""
    fps = float(capture.get(cv2.CAP_PROP_FPS))
    return fps if math.isfinite(fps) and 0 < fps <= 1000 else None


def frame_count(capture: cv2.VideoCapture) -> int | None:
    """Number of frames as the container states it; None for what has no end, such as a camera."""
    count = capture.get(cv2.CAP_PROP_FRAME_COUNT)
    return int(count) if math.isfinite(count) and count > 0 else None
