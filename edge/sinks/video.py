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
from edgeloop.edge.host.opencv import CODECS, open_capture, open_writer
from edgeloop.edge.host.outputs import check_output_path
from edgeloop.edge.result import Sink
from edgeloop.models.errors import UnavailableError, UsageError

if TYPE_CHECKING:
    from edgeloop.edge.result import Result
    from edgeloop.edge.tracking import ZoneCounter

__all__ = ["VideoFile"]

MAX_STILL_S = 2.0
"""Longest time in seconds for which a frame is repeated, so that a silent camera does not fill the disk."""


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
            live: Repeat frames for as long as they were the newest one, so that the video of a live source
                plays in real time whatever was dropped.
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
        self._size = (0, 0)
        self._began_at = 0.0
        self._written = 0

    def write(self, result: Result) -> None:
        """Annotate the frame and append it."""
        image = annotate(result.frame.image, result.detections, self._names, zones=self._zones)
        if self._writer is None:
            self._began_at = result.frame.captured_at
            self._size = (image.shape[1], image.shape[0])
            self._writer = self._open()
        fitted = _fit(image, self._size)
        for _ in range(self._copies(result.frame.captured_at)):
            self._writer.write(fitted)
            self._written += 1

    def close(self) -> None:
        """Complete the file and give it its name.

        Raises:
            UnavailableError: The file could not be completed.
        """
        if self._writer is None:
            return
        self._writer.release()
        self._writer = None
        if not self._is_complete():
            raise UnavailableError(
                f"video {self._path}: could not be completed (disk full?); "
                f"{self._partial} holds what was written"
            )
        self._partial.replace(self._path)

    def _is_complete(self) -> bool:
        """Look for the last frame: OpenCV reports no failed write."""
        capture = open_capture(f"file:{self._partial}", timeout_s=0)
        return capture is not None and capture.get(cv2.CAP_PROP_FRAME_COUNT) >= self._written

    def _copies(self, captured_at: float) -> int:
        """Number of times to write a frame so that it appears at its time."""
        if not self._live:
            return 1
        behind = round((captured_at - self._began_at) * self._fps) + 1 - self._written
        excess = behind - int(MAX_STILL_S * self._fps)
        if excess > 0:
            self._began_at += excess / self._fps
        return max(0, behind - max(0, excess))

    def _open(self) -> cv2.VideoWriter:
        writer = open_writer(self._partial, fps=self._fps, size=self._size)
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


def _fit(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Scale and center an image of another size, which the writer would drop silently."""
    width, height = size
    if image.shape[:2] == (height, width):
        return image
    scale = min(width / image.shape[1], height / image.shape[0])
    inner = max(1, int(image.shape[1] * scale)), max(1, int(image.shape[0] * scale))
    left, top = (width - inner[0]) // 2, (height - inner[1]) // 2
    canvas = np.zeros((height, width, 3), np.uint8)
    canvas[top : top + inner[1], left : left + inner[0]] = cv2.resize(image, inner)
    return canvas
