"""Video on the standard input as a source: a container, or raw frames as `ffmpeg -f rawvideo` pipes them."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Generator
from typing import BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.frame import Source
from edgeloop.edge.host.opencv import open_pipe
from edgeloop.edge.sources.iterable import ImageIterable
from edgeloop.edge.sources.query import Known, between, read_options
from edgeloop.edge.sources.recording import Recording
from edgeloop.models.errors import DataError, NoInputError, UsageError

__all__ = ["open_stdin"]

log = logging.getLogger(__name__)

NAME = "stdin"

_HINT = (
    "frames without a header need their size, as in "
    "ffmpeg -i IN -f rawvideo -pix_fmt bgr24 - | edgeloop run MODEL '-?width=640&height=480'"
)

Shape = tuple[int, ...]


def open_stdin(query: str) -> Source:
    """Open the video on the standard input; every frame counts.

    Args:
        query: Options: with width and height (pixels), raw frames of a `pix_fmt` (bgr24 by default), at `fps`
            frames per second; none for a container that FFmpeg reads, such as MPEG-TS, Matroska or y4m.

    Returns:
        The source.

    Raises:
        UsageError: An option is unknown or missing, or the standard input is a terminal.
        DataError: It is no video that OpenCV can read.
    """
    options = read_options("-", query, _OPTIONS)
    if sys.stdin is None or sys.stdin.isatty():
        raise UsageError("source -: the standard input is a terminal; pipe a video into it")
    if not options:
        capture = open_pipe()
        if capture is None:
            raise DataError(f"source -: no video that OpenCV can open; {_HINT}")
        return Recording(NAME, capture)
    if not {"width", "height"} <= options.keys():
        raise UsageError(f"source -: expected width and height; {_HINT}")
    pix_fmt = options.get("pix_fmt", "bgr24")
    if _FORMATS[pix_fmt][0] is _planes and (options["width"] % 2 or options["height"] % 2):
        raise UsageError(f"source -: {pix_fmt} has an even width and height; use bgr24")
    images = _raw_images(sys.stdin.buffer, options["width"], options["height"], pix_fmt)
    source = ImageIterable(images, NAME)
    source.fps = options.get("fps")
    return source


def _raw_images(
    file: BinaryIO, width: int, height: int, pix_fmt: str
) -> Generator[NDArray[np.uint8], None, None]:
    shape, conversion = _FORMATS[pix_fmt]
    shape_px = shape(width, height)
    size, count = int(np.prod(shape_px)), 0
    while len(data := file.read(size)) == size:
        image = np.frombuffer(data, np.uint8).reshape(shape_px)
        yield image if conversion is None else np.asarray(cv2.cvtColor(image, conversion), np.uint8)
        count += 1
    if data:
        log.warning("%s: ends in %d of the %d bytes of a frame; is its size right?", NAME, len(data), size)
    if not count:
        raise NoInputError(f"source {NAME}: ended without a frame")


def _planes(width: int, height: int) -> Shape:
    return height * 3 // 2, width


_FORMATS: dict[str, tuple[Callable[[int, int], Shape], int | None]] = {
    "bgr24": (lambda width, height: (height, width, 3), None),
    "rgb24": (lambda width, height: (height, width, 3), cv2.COLOR_RGB2BGR),
    "gray": (lambda width, height: (height, width), cv2.COLOR_GRAY2BGR),
    "nv12": (_planes, cv2.COLOR_YUV2BGR_NV12),
    "yuv420p": (_planes, cv2.COLOR_YUV2BGR_I420),
}


def _pix_fmt(value: str) -> str:
    if value not in _FORMATS:
        raise ValueError(value)
    return value


_OPTIONS: Known = {
    "width": (between(int, 16, 16384), "pixels from 16 to 16384"),
    "height": (between(int, 16, 16384), "pixels from 16 to 16384"),
    "fps": (between(float, 0.1, 1000), "frames a second from 0.1 to 1000"),
    "pix_fmt": (_pix_fmt, f"one of {', '.join(_FORMATS)}"),
}
