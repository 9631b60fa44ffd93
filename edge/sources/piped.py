"""Video on the standard input as a source: a container, or raw frames as `ffmpeg -f rawvideo` pipes them."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Generator
from contextlib import suppress
from threading import Thread

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.frame import Source
from edgeloop.edge.host.opencv import open_pipe
from edgeloop.edge.sources.footage import Footage
from edgeloop.edge.sources.iterable import ImageIterable
from edgeloop.edge.sources.query import RATE, SIZE, Known, read_options
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
        return _Container(*_forward_stdin())
    if not {"width", "height"} <= options.keys():
        raise UsageError(f"source -: expected width and height; {_HINT}")
    pix_fmt = options.get("pix_fmt", "bgr24")
    if _FORMATS[pix_fmt][0] is _planes and (options["width"] % 2 or options["height"] % 2):
        raise UsageError(f"source -: {pix_fmt} has an even width and height; use bgr24")
    source = _RawFrames(*_forward_stdin(), options["width"], options["height"], pix_fmt)
    source.fps = options.get("fps")
    return source


def _forward_stdin() -> tuple[int, int]:
    """Copy the standard input to a pipe that can be ended: a read of another program's pipe cannot.

    Returns:
        File descriptors of the pipe, to read from and for `_end`.
    """
    reader, writer = os.pipe()
    stdin = os.dup(0)

    def copy() -> None:
        with suppress(OSError):  # its reader is gone, or the input fails, which is its end
            while data := os.read(stdin, 1 << 16):
                view = memoryview(data)
                while view:
                    view = view[os.write(writer, view) :]
        os.close(stdin)
        _end(writer)

    Thread(target=copy, name="copy stdin", daemon=True).start()
    return reader, writer


def _end(writer: int) -> None:
    """Let the reader of a pipe see its end; its number stays taken, so that a late write hits no file."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, writer, inheritable=False)
    os.close(nowhere)


class _Piped(Footage):
    _writer: int

    def stop(self) -> None:
        super().stop()
        _end(self._writer)


class _Container(_Piped, Recording):
    def __init__(self, reader: int, writer: int) -> None:
        self._writer = writer
        os.dup2(reader, 0)  # FFmpeg reads the standard input
        os.close(reader)
        capture = open_pipe()
        if capture is None:
            raise DataError(f"source -: no video that OpenCV can open; {_HINT}")
        super().__init__(NAME, capture)


class _RawFrames(_Piped, ImageIterable):
    def __init__(self, reader: int, writer: int, width: int, height: int, pix_fmt: str) -> None:
        self._writer = writer
        super().__init__(self._read(reader, *_FORMATS[pix_fmt], width, height), NAME)

    def _read(
        self,
        reader: int,
        shape: Callable[[int, int], Shape],
        conversion: int | None,
        width: int,
        height: int,
    ) -> Generator[NDArray[np.uint8], None, None]:
        count = 0
        with open(reader, "rb") as file:
            while True:
                image = np.empty(shape(width, height), np.uint8)
                size = file.readinto(image.data)
                if size < image.nbytes:
                    break
                yield image if conversion is None else np.asarray(cv2.cvtColor(image, conversion), np.uint8)
                count += 1
        if self._stopped:
            return
        if size:
            log.warning(
                "%s: ends in %d of the %d bytes of a frame; is its size right?", NAME, size, image.nbytes
            )
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
    **SIZE,
    **RATE,
    "pix_fmt": (_pix_fmt, f"one of {', '.join(_FORMATS)}"),
}
