"""OpenCV with time limits, bounded threads and checked images."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import chain, product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.host.hardware import decoder_threads, usable_cores
from edgeloop.edge.host.image_bytes import decode_image, image_fault
from edgeloop.models.errors import DataError, UnavailableError, file_remedy

__all__ = [
    "CODECS",
    "encode_image",
    "has_gstreamer",
    "has_screen",
    "next_image",
    "one_thread",
    "open_capture",
    "open_pipe",
    "open_pipeline",
    "open_writer",
    "read_image",
    "require_image",
    "write_bytes",
    "write_image",
]

CODECS = {".mp4": ("mp4v", "avc1"), ".avi": ("MJPG", "mp4v")}
"""Codecs to try per container, first the one that every OpenCV build with FFmpeg encodes in software."""

_FRAGMENTED = ".ismv"
"""Suffix by which FFmpeg writes an .mp4 in fragments; OpenCV passes it no options."""


@contextmanager
def one_thread() -> Iterator[None]:
    """Make OpenCV single-threaded, for when every core already has an image of its own."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def open_capture(
    target: int | str | Path,
    *,
    timeout_s: float,
    read_s: float | None = None,
    settings: Mapping[int, float] | None = None,
) -> cv2.VideoCapture | None:
    """Open a camera, a video file or a stream.

    Args:
        target: Camera index, address, or path of any name.
        timeout_s: Seconds that a stream may take to open, and later to deliver a frame; 0 for no limit.
        read_s: Seconds that a stream may take to deliver a frame; None for `timeout_s`.
        settings: Properties of a camera (cv2.CAP_PROP_...) to ask for, in this order; it may refuse each.

    Returns:
        The open capture; None if OpenCV cannot open it.
    """
    if not isinstance(target, int):
        # FFmpeg takes what is before a colon for a protocol.
        address = f"file:{target}" if isinstance(target, Path) else target
        return _open_decoder(address, timeout_s, timeout_s if read_s is None else read_s)
    capture = _construct(target)
    if capture is not None:
        # A device that queues frames returns old ones; not every backend has the property.
        for setting, value in {**(settings or {}), cv2.CAP_PROP_BUFFERSIZE: 1}.items():
            capture.set(setting, value)
    return capture


def open_pipe() -> cv2.VideoCapture | None:
    """Open the video on the standard input, in any container; None if OpenCV cannot."""
    return _open_ffmpeg("pipe:0", 0, 0, threads=usable_cores())


def open_pipeline(pipeline: str) -> cv2.VideoCapture | None:
    """Open a GStreamer pipeline that ends in an appsink; None if OpenCV cannot."""
    return _construct(pipeline, cv2.CAP_GSTREAMER)


def has_gstreamer() -> bool:
    """True if this OpenCV has GStreamer; that of PyPI has not."""
    return bool(cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER))


def next_image(capture: cv2.VideoCapture) -> NDArray[np.uint8] | None:
    """Read the next frame, HxWx3 uint8 BGR; None at the end, or if the decoder fails."""
    try:
        read, image = capture.read()
    except cv2.error:
        return None
    return cast("NDArray[np.uint8]", image) if read else None


def _open_decoder(target: str, open_s: float, read_s: float) -> cv2.VideoCapture | None:
    """Open a file or stream with FFmpeg, on no more threads than its frames need."""
    capture = _open_ffmpeg(target, open_s, read_s, threads=1)
    if capture is None:
        return None
    pixels = capture.get(cv2.CAP_PROP_FRAME_WIDTH) * capture.get(cv2.CAP_PROP_FRAME_HEIGHT)
    threads = decoder_threads(pixels)
    if threads > 1:
        capture.release()
        capture = _open_ffmpeg(target, open_s, read_s, threads=threads)
    return capture


def _open_ffmpeg(target: str, open_s: float, read_s: float, *, threads: int) -> cv2.VideoCapture | None:
    # FFmpeg would print parts of addresses, and secrets with them. OpenCV reads this when it opens the first.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    settings = {
        cv2.CAP_PROP_OPEN_TIMEOUT_MSEC: int(open_s * 1000),
        cv2.CAP_PROP_READ_TIMEOUT_MSEC: int(read_s * 1000),
        cv2.CAP_PROP_N_THREADS: threads,
    }
    return _construct(_native(target), cv2.CAP_FFMPEG, [*chain.from_iterable(settings.items())])


def _construct(*arguments: Any) -> cv2.VideoCapture | None:
    try:
        capture = cv2.VideoCapture(*arguments)
    except cv2.error:
        return None
    if not capture.isOpened():
        capture.release()
        return None
    return capture


def open_writer(path: Path, *, fps: float, size: tuple[int, int]) -> cv2.VideoWriter | None:
    """Open a video file for writing, of which what was written stays playable if the process is killed.

    An .mp4 is written in fragments of a few frames: no table at its end is needed to play it.

    Args:
        path: File with a suffix in `CODECS`, of any name; replaced if it exists.
        fps: Frames per second.
        size: (width, height) of every frame in pixels; OpenCV silently drops frames of another size.

    Returns:
        The open writer; None if no codec works or the file cannot be written.
    """
    suffix = path.suffix.lower()
    for codec, muxer in product(CODECS[suffix], (_FRAGMENTED, suffix) if suffix == ".mp4" else (suffix,)):
        with _linked(path, muxer) as name:
            writer = cv2.VideoWriter(name, cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*codec), fps, size)
        if writer.isOpened():
            if muxer == _FRAGMENTED:
                _rebrand(path)
            return writer
    return None


def _rebrand(path: Path) -> None:
    """Replace the brand of Smooth Streaming, which few players know, by that of any MP4."""
    with path.open("r+b") as file:
        file.seek(8)
        if file.read(4) == b"isml":
            file.seek(8)
            file.write(b"isom\0\0\2\0isommp41")


@contextmanager
def _linked(path: Path, suffix: str) -> Iterator[str]:
    """Provide a name with a suffix for a file that need not exist; its own name on systems without links.

    FFmpeg takes the suffix for the format, and what is before a colon for a protocol.
    """
    with TemporaryDirectory() as folder:
        link = Path(folder) / f"video{suffix}"
        try:
            link.symlink_to(path.absolute())
        except OSError:
            link = path
        yield _native(f"file:{link}")


def _native(path: str) -> str:
    """Encode a path that is not UTF-8: OpenCV takes its bytes, and crashes on its text."""
    data = os.fsencode(path)
    return path if data == path.encode(errors="replace") else cast("str", data)


def write_image(path: Path, image: NDArray[np.uint8], *, quality: int = 95) -> None:
    """Write an image file.

    Args:
        path: File to write, .jpg or .png.
        image: HxWx3 uint8 BGR.
        quality: Quality of a JPEG, 0 to 100.

    Raises:
        UnavailableError: It cannot be written.
    """
    write_bytes(path, encode_image(path.suffix, image, quality=quality))


def encode_image(suffix: str, image: NDArray[np.uint8], *, quality: int = 95) -> bytes:
    """Encode an image, HxWx3 uint8 BGR, as ".jpg" of a quality of 0 to 100, or as ".png"."""
    settings = [cv2.IMWRITE_JPEG_QUALITY, quality] if suffix == ".jpg" else []
    _, data = cv2.imencode(suffix, image, settings)
    return bytes(data.tobytes())


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file.

    Raises:
        UnavailableError: It cannot be written.
    """
    try:
        path.write_bytes(data)
    except OSError as error:
        remedy = file_remedy(error) or "is the disk full?"
        raise UnavailableError(f"{path}: cannot be written ({error.strerror}); {remedy}") from error


def read_image(path: Path) -> NDArray[np.uint8] | None:
    """Read one image file.

    Args:
        path: File in any format that OpenCV reads, or HEIC if a decoder is installed.

    Returns:
        HxWx3 uint8 BGR, upright by its EXIF orientation; None if there is no complete image.
    """
    try:
        return decode_image(path.read_bytes(), str(path))
    except OSError:
        return None


def require_image(path: Path) -> NDArray[np.uint8]:
    """Read one image file as `read_image` does, or raise DataError if there is no complete image."""
    image = read_image(path)
    if image is None:
        raise DataError(f"{path}: {image_fault(path)}")
    return image


def has_screen() -> bool:
    """Test in a subprocess if OpenCV can open a window; Qt aborts the process if there is no screen."""
    probe = "import cv2; cv2.namedWindow('edgeloop'); cv2.waitKey(1)"
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", probe], capture_output=True, check=False, timeout=20
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0
