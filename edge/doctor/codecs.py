"""Test of the video codecs of this OpenCV."""

from __future__ import annotations

import base64
import tempfile
from pathlib import Path

import cv2
import numpy as np

__all__ = ["readable_codecs", "writable_codecs"]

_WRITTEN = {"mp4v": ".mp4", "avc1": ".mp4", "hvc1": ".mp4", "MJPG": ".avi"}

# One gray frame of 64x64 each, written by x264, x265 and libvpx, without their signatures.
_SAMPLES = {
    "H.264": (".h264", "AAAAAWdCwAraEJoQAAADABAAAAMBQPEiagAAAAFozg/IAAAAAWWIhDoRigACIB/JycnXXXXXXXXXXXXg"),
    "H.265": (
        ".hevc",
        "AAAAAUABDAH//wFgAAADAJAAAAMAAAMAHpWUCQAAAAFCAQEBYAAAAwCQAAADAAADAB6gIIEFllZUpMLmgIAAAAMAgAAABQQAAAAB"
        "RAHAc8CJAAAAASgBrEYd6vuXtBsvfg==",
    ),
    "VP9": (
        ".ivf",
        "REtJRgAAIABWUDkwQABAAAoAAAABAAAAAQAAAAAAAAAeAAAAAAAAAAAAAACCSYNCAAPwA/YAOCQcGEoAADBgAABn+///10IJ3Zg=",
    ),
    "AV1": (
        ".ivf",
        "REtJRgAAIABBVjAxQABAAAoAAAABAAAAAQAAAAAAAAAhAAAAAAAAAAAAAAASAAoKAAAAAq//iV8gCDIREACsAgUUIIEAAAMUdpcR"
        "3oA=",
    ),
}


def writable_codecs() -> list[str]:
    """Test the codecs that videos are written with: FourCC of those whose file could be read again."""
    return [codec for codec, suffix in _WRITTEN.items() if _writes(codec, suffix)]


def readable_codecs() -> list[str]:
    """Test the codecs of cameras and files: names of those that could be decoded."""
    return [name for name, (suffix, text) in _SAMPLES.items() if _reads(suffix, base64.b64decode(text))]


def _writes(codec: str, suffix: str) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, f"try{suffix}"))
        writer = cv2.VideoWriter(path, cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*codec), 30, (64, 64))
        if not writer.isOpened():
            return False
        writer.write(np.zeros((64, 64, 3), np.uint8))
        writer.release()
        return _first_frame(path)


def _reads(suffix: str, data: bytes) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"sample{suffix}")
        path.write_bytes(data)
        return _first_frame(str(path))


def _first_frame(path: str) -> bool:
    capture = cv2.VideoCapture(path, cv2.CAP_FFMPEG)
    try:
        return bool(capture.read()[0])
    finally:
        capture.release()
