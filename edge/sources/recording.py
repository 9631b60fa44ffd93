"""Videos as a source: a file, or a recording behind an address."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator
from pathlib import Path

import cv2

from edgeloop.edge.frame import Frame
from edgeloop.edge.host.file_names import printable_name
from edgeloop.edge.host.opencv import next_image, open_capture
from edgeloop.edge.sources.footage import Footage
from edgeloop.edge.sources.media_clock import MediaClock
from edgeloop.edge.sources.size_watch import SizeWatch
from edgeloop.models.errors import DataError, UnavailableError

__all__ = ["Recording", "frame_count", "nominal_fps", "open_video"]

log = logging.getLogger(__name__)

SHORTFALL = 0.9
"""Share of the stated number of frames below which some are missing; containers only estimate it."""


class Recording(Footage):
    """Frames of one video, decoded as they are asked for."""

    def __init__(
        self,
        name: str,
        capture: cv2.VideoCapture,
        *,
        remote: bool = False,
        sizes: SizeWatch | None = None,
    ) -> None:
        """Take over an open capture.

        Args:
            name: Name of the source.
            capture: Open capture; released by `close`.
            remote: Treat an early end as a lost connection, because the video comes over a network.
            sizes: Gives pictures their true size; None if only the capture knows. Released by `close`.
        """
        self.name = name
        self.fps = nominal_fps(capture)
        self.length = frame_count(capture)
        self._capture = capture
        self._remote = remote
        self._sizes = sizes

    def __iter__(self) -> Iterator[Frame]:
        index = 0
        clock = MediaClock(self.fps)
        while not self._stopped:
            image = next_image(self._capture)
            if image is None:
                if not self._stopped:  # a pipe is cut off in order to stop
                    self._check_end(index, clock)
                return
            if self._sizes is not None:
                image = self._sizes.restore(image, self._capture)
            time_s = clock.tell(self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
            yield Frame(image, index, time.monotonic(), time.time(), self.name, time_s)
            index += 1

    def close(self) -> None:
        """Stop, and release the file or connection."""
        self.stop()
        self._capture.release()
        if self._sizes is not None:
            self._sizes.close()

    def _check_end(self, frames: int, clock: MediaClock) -> None:
        """Report a video that breaks off before its end."""
        if frames == 0:
            raise DataError(f"source {self.name}: the video opens but holds no frame that can be decoded")
        # At a variable rate the container has as many frames as would fill its time.
        if self.length is None or max(frames, clock.time_s * (self.fps or 0)) >= SHORTFALL * self.length:
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
        A source of all its frames.

    Raises:
        DataError: OpenCV cannot open it.
    """
    name = printable_name(path)
    capture = open_capture(path, timeout_s=0)
    if capture is None:
        raise DataError(
            f"source {name}: neither an image nor a video that OpenCV can open (corrupt, or no codec for it)"
        )
    size = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
    return Recording(name, capture, sizes=SizeWatch(path, name, size))


def nominal_fps(capture: cv2.VideoCapture) -> float | None:
    """Frames per second as the device or container states them; None if it states nothing sensible."""
    fps = float(capture.get(cv2.CAP_PROP_FPS))
    return fps if math.isfinite(fps) and 0 < fps <= 1000 else None


def frame_count(capture: cv2.VideoCapture) -> int | None:
    """Number of frames as the container states it; None if it has no end, such as a camera."""
    count = capture.get(cv2.CAP_PROP_FRAME_COUNT)
    return int(count) if math.isfinite(count) and count > 0 else None
