"""Results as an annotated video, which has its name when it is complete and is playable before that."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.draw.annotate import annotate
from edgeloop.edge.frame import DEFAULT_FPS
from edgeloop.edge.host.opencv import CODECS, next_image, open_capture, open_writer
from edgeloop.edge.host.outputs import check_output_path
from edgeloop.edge.result import Sink
from edgeloop.models.errors import UnavailableError, UsageError

if TYPE_CHECKING:
    from edgeloop.edge.result import Result
    from edgeloop.edge.tracking import ZoneCounter

__all__ = ["VideoFile"]

MAX_STILL_S = {True: 2.0, False: 60.0}
"""Longest time in seconds for which a frame of a live source or of footage is repeated, so that a silent
camera or a gap of days does not fill the disk."""

VARIABLE_FPS = 60.0
"""Frames per second at which footage of a variable rate is written, so that none of its frames is late."""

MAX_LATE_S = 0.1
"""Longest time in seconds by which a frame of footage may be late before its rate is taken for variable."""


class VideoFile(Sink):
    """Writes annotated frames under a temporary name and renames the file when it is complete."""

    def __init__(
        self,
        path: Path,
        names: Sequence[str],
        *,
        fps: float | None,
        live: bool,
        overwrite: bool = False,
        zones: ZoneCounter | None = None,
    ) -> None:
        """Check the target; the file begins with the first frame, which determines its size.

        Args:
            path: Video to write, .mp4 or .avi.
            names: The model's class names.
            fps: Nominal frames per second of the source; None for 30.
            live: Leave out frames that are late, so that the video plays in real time. Frames that are early
                are repeated in any case, until the next one is due.
            overwrite: Replace an existing file.
            zones: Zones and lines to draw; None for none.

        Raises:
            UsageError: The suffix is not known.
            DataError: The file exists.
            NoInputError: Its folder does not exist.
        """
        if path.suffix.lower() not in CODECS:
            raise UsageError(f"video {path}: unknown suffix; expected {' or '.join(CODECS)}")
        check_output_path("video", path, overwrite=overwrite)
        self._path = path
        self._partial = _free(path)
        self._names = names
        self._fps = fps or DEFAULT_FPS
        self._live = live
        self._zones = zones
        self._writer: cv2.VideoWriter | None = None
        self._waiting: NDArray[np.uint8] | None = None
        self._began_s: float | None = None
        self._written = 0

    def write(self, result: Result) -> None:
        """Append the frame before this one, as often as its time lasted, and annotate this one."""
        frame = result.frame
        time_s = frame.captured_at if self._live else frame.time_s
        image = annotate(frame.image, result.detections, self._names, zones=self._zones)
        if self._waiting is None:
            self._began_s = time_s
        else:
            self._append(self._waiting, time_s)
            image = _fit(image, self._waiting.shape)
        self._waiting = image

    def close(self) -> None:
        """Append the last frame, complete the file and give it its name.

        Raises:
            UnavailableError: The file could not be written or completed.
        """
        if self._waiting is not None:
            self._append(self._waiting, None)
            self._waiting = None
        if self._writer is None:
            return
        self._writer.release()
        self._writer = None
        self._check_complete()
        self._partial.replace(self._path)

    def _append(self, image: NDArray[np.uint8], until_s: float | None) -> None:
        if self._writer is None:
            self._fps = self._rate(until_s)
            self._writer = self._open(image)
        elif not self._live and self._is_late(until_s):
            self._writer = self._rewrite(self._writer, image)
        for _ in range(self._copies(until_s)):
            self._writer.write(image)
            self._written += 1

    def _copies(self, until_s: float | None) -> int:
        """Number of times to write a frame so that the next one, if any, appears at its time."""
        if until_s is None or self._began_s is None:
            return 1
        due = round((until_s - self._began_s) * self._fps) - self._written
        excess = due - int(MAX_STILL_S[self._live] * self._fps)
        if excess > 0:
            self._began_s += excess / self._fps
            due -= excess
        return max(0 if self._live else 1, due)

    def _is_late(self, until_s: float | None) -> bool:
        """True if the rate is too low for the next frame: every frame is written at least once."""
        if until_s is None or self._began_s is None or self._fps >= VARIABLE_FPS:
            return False
        late_s = (self._written + 1) / self._fps - (until_s - self._began_s)
        return late_s > max(MAX_LATE_S, 1 / self._fps)  # rounding makes it late by half a frame

    def _rewrite(self, writer: cv2.VideoWriter, image: NDArray[np.uint8]) -> cv2.VideoWriter:
        """Write what there is again, at the higher rate, and go on from there."""
        writer.release()
        self._check_complete()
        before, copies, frames = self._partial, VARIABLE_FPS / self._fps, self._written
        self._partial, self._fps, self._written = _free(self._path), VARIABLE_FPS, 0
        writer = self._open(image)
        capture = open_capture(before, timeout_s=0)
        for number in range(1, frames + 1):
            read = None if capture is None else next_image(capture)
            earlier = image if read is None else read
            while self._written < round(number * copies):
                writer.write(earlier)
                self._written += 1
        if capture is not None:
            capture.release()
        before.unlink()
        return writer

    def _check_complete(self) -> None:
        """Look for the last frame: OpenCV reports no failed write."""
        capture = open_capture(self._partial, timeout_s=0)
        if capture is None or capture.get(cv2.CAP_PROP_FRAME_COUNT) < self._written:
            raise UnavailableError(
                f"video {self._path}: could not be completed (disk full?); "
                f"{self._partial} holds what was written"
            )

    def _rate(self, until_s: float | None) -> float:
        """Frames per second to write, as far as the first frame tells."""
        if not self._live and until_s is not None and self._began_s is not None:
            steps = (until_s - self._began_s) * self._fps
            if abs(steps - max(1, round(steps))) > 0.1:  # the stated rate is a mean
                return max(self._fps, VARIABLE_FPS)
        return self._fps

    def _open(self, image: NDArray[np.uint8]) -> cv2.VideoWriter:
        height, width = image.shape[:2]
        writer = open_writer(self._partial, fps=self._fps, size=(width, height))
        if writer is None:
            codecs = " nor ".join(CODECS[self._path.suffix.lower()])
            raise UnavailableError(
                f"video {self._path}: this OpenCV writes neither {codecs}, or nobody may write to "
                f"{self._path.parent}; `edgeloop doctor` lists the codecs"
            )
        return writer


def _free(path: Path) -> Path:
    """Name an unfinished video so that it replaces none that an earlier run left."""
    tags = (f".partial-{number}" if number else ".partial" for number in count())
    names = (path.with_name(f"{path.stem}{tag}{path.suffix}") for tag in tags)
    return next(name for name in names if not name.exists())


def _fit(image: NDArray[np.uint8], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Scale and center an image of another size, which the writer would drop silently."""
    height, width = shape[:2]
    if image.shape[:2] == (height, width):
        return image
    scale = min(width / image.shape[1], height / image.shape[0])
    inner = max(1, int(image.shape[1] * scale)), max(1, int(image.shape[0] * scale))
    left, top = (width - inner[0]) // 2, (height - inner[1]) // 2
    canvas = np.zeros((height, width, 3), np.uint8)
    canvas[top : top + inner[1], left : left + inner[0]] = cv2.resize(image, inner)
    return canvas
