"""OpenCV with time limits, bounded threads and checked images; and whether there is a screen."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.host.hardware import usable_cores
from edgeloop.models.errors import DataError

__all__ = ["CODECS", "has_screen", "one_thread", "open_capture", "open_writer", "read_image", "require_image"]

CODECS = {".mp4": ("mp4v", "avc1"), ".avi": ("MJPG", "mp4v")}
"""Codecs to try for each container, first the one that every OpenCV build with FFmpeg encodes in software."""

# For so many pixels of a frame FFmpeg gets a thread to decode it. Each further one makes frames cost more and
# come out a frame later: a stream decoded by eight threads was 0.3 s behind its camera, by one 0.07 s.
_PIXELS_A_THREAD = 1280 * 720


@contextmanager
def one_thread() -> Iterator[None]:
    """Let OpenCV work on the thread that calls it alone: where every core has an image of its own, the
    threads among which it would share one out only take the cores from the others."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def open_capture(target: int | str, *, timeout_s: float) -> cv2.VideoCapture | None:
    """Open a camera, a video file or a stream.

    Args:
        target: Camera index, path or address.
        timeout_s: How long a stream may take to open, and later to deliver a frame; 0 for no limit.

    Returns:
        The open capture, or None where OpenCV cannot open it.
    """
    if not isinstance(target, int):
        return _open_decoder(target, timeout_s)
    capture = cv2.VideoCapture(target)
    # A device that queues frames hands out old ones; not every back end knows the property.
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    return _if_open(capture)


def _open_decoder(target: str, timeout_s: float) -> cv2.VideoCapture | None:
    """Open what FFmpeg decodes, on no more threads than its frames need."""
    capture = _open_ffmpeg(target, timeout_s, threads=1)
    if capture is None:
        return None
    pixels = capture.get(cv2.CAP_PROP_FRAME_WIDTH) * capture.get(cv2.CAP_PROP_FRAME_HEIGHT)
    threads = min(math.ceil(pixels / _PIXELS_A_THREAD), usable_cores())
    if threads > 1:
        capture.release()
        capture = _open_ffmpeg(target, timeout_s, threads=threads)
    return capture


def _open_ffmpeg(target: str, timeout_s: float, *, threads: int) -> cv2.VideoCapture | None:
    timeout_ms = int(timeout_s * 1000)
    settings = {
        cv2.CAP_PROP_OPEN_TIMEOUT_MSEC: timeout_ms,
        cv2.CAP_PROP_READ_TIMEOUT_MSEC: timeout_ms,
        cv2.CAP_PROP_N_THREADS: threads,
    }
    return _if_open(cv2.VideoCapture(target, cv2.CAP_FFMPEG, [*chain.from_iterable(settings.items())]))


def _if_open(capture: cv2.VideoCapture) -> cv2.VideoCapture | None:
    if not capture.isOpened():
        capture.release()
        return None
    return capture


def open_writer(path: Path, *, fps: float, size: tuple[int, int]) -> cv2.VideoWriter | None:
    """Begin a video file.

    Args:
        path: A file with a suffix in `CODECS`; replaced where it exists.
        fps: Frames a second.
        size: (width, height) of every frame in pixels; frames of another size would be lost without a word.

    Returns:
        The open writer, or None where no codec works or the file cannot be written.
    """
    for codec in CODECS[path.suffix.lower()]:
        writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*codec), fps, size)
        if writer.isOpened():
            return writer
    return None


def read_image(path: Path) -> NDArray[np.uint8] | None:
    """Read one image file.

    Args:
        path: A file in any format that OpenCV reads.

    Returns:
        HxWx3 uint8, BGR, turned upright by its EXIF orientation; None where there is no whole image.
    """
    try:
        data = path.read_bytes()
    except OSError:
        return None
    # libjpeg fills what a cut-off file lacks with grey and calls it a success. The end marker cannot occur
    # within the compressed picture, so a file without one after its last start of scan was cut off.
    cut_off = data.startswith(b"\xff\xd8") and data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda")
    if cut_off or not data:
        return None
    image: NDArray[np.uint8] | None = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return image


def require_image(path: Path) -> NDArray[np.uint8]:
    """Read one image file that nothing can be done without.

    Args:
        path: As for `read_image`.

    Returns:
        As `read_image`.

    Raises:
        DataError: There is no whole image.
    """
    image = read_image(path)
    if image is None:
        raise DataError(f"{path}: not an image that can be read (corrupt or cut off)")
    return image


def has_screen() -> bool:
    """Whether OpenCV can open a window here.

    Asked in a process of its own, because Qt does not report a missing screen but aborts.
    """
    probe = "import cv2; cv2.namedWindow('edgeloop'); cv2.waitKey(1)"
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", probe], capture_output=True, check=False, timeout=20
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0
