"""True size of the pictures of a file: OpenCV stretches all of them to the size of the first.

The file is read a second time without decoding. Where a key frame begins in another way than the one before,
its size is looked up, so that this costs next to nothing.
"""

from __future__ import annotations

import logging
import re
import struct
from collections import deque
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.host.opencv import open_capture

__all__ = ["SizeWatch"]

log = logging.getLogger(__name__)

ONE_SIZE = frozenset({".avi", ".gif", ".m4v", ".mov", ".mp4"})
"""Suffixes of containers that state one size for all their pictures."""

AHEAD = 8
"""Packets that are read before the frame in question: decoders give a few frames late, or lose some."""

HEADER = re.compile(rb"\xff\xd8.{1,4096}?\xff[\xc0-\xc2]\x00.\x08(.{4})|(.{1,64})", re.DOTALL)
"""Beginning of a packet that holds its size and little else: a JPEG has it behind its tables."""

_IVF = frozenset({"VP80", "VP90", "AV01"})
"""Codecs whose packets cannot be told without a container."""

Size = tuple[int, int]


class SizeWatch:
    """Gives each picture of a file its true size again."""

    def __init__(self, path: Path, name: str, size: Size) -> None:
        """Begin at the first packet.

        Args:
            path: Video file.
            name: Name of the source, for the warning.
            size: Width and height in pixels in which OpenCV gives its pictures.
        """
        self._name, self._size = name, size
        self._packets = None if path.suffix.lower() in ONE_SIZE else open_capture(path, timeout_s=0)
        if self._packets is not None:
            self._packets.set(cv2.CAP_PROP_FORMAT, -1)
        self._header: bytes | None = None
        self._read = self._given = 0
        self._latest: Size | None = None
        self._changes: deque[tuple[int, float, Size]] = deque()
        self._warned = False

    def restore(self, image: NDArray[np.uint8], capture: cv2.VideoCapture) -> NDArray[np.uint8]:
        """Give the next picture its true size.

        Args:
            image: HxWx3 uint8, BGR, just read.
            capture: Capture that it was read from.

        Returns:
            The picture, scaled if the file has it in another size than its first one.
        """
        while self._packets is not None and self._read <= self._given + AHEAD:
            self._read_packet(self._packets)
        if self._changes:
            packet, stamp_ms, size = self._changes[0]
            is_key = chr(int(capture.get(cv2.CAP_PROP_FRAME_TYPE))) == "I"
            on_time = is_key and capture.get(cv2.CAP_PROP_POS_MSEC) == stamp_ms
            if self._given >= packet - AHEAD and (on_time or self._given > packet):
                self._changes.popleft()
                self._warn(size)
                self._size = size
        self._given += 1
        height, width = image.shape[:2]
        if (width, height) == self._size:
            return image
        method = cv2.INTER_AREA if self._size[0] < width else cv2.INTER_CUBIC
        return np.asarray(cv2.resize(image, self._size, interpolation=method), np.uint8)

    def close(self) -> None:
        """Release the file."""
        if self._packets is not None:
            self._packets.release()
            self._packets = None

    def _read_packet(self, packets: cv2.VideoCapture) -> None:
        read, data = packets.read()
        if not read:
            self.close()
            return
        packet = data.tobytes()
        header = (found := HEADER.match(packet)) and (found[1] or found[2])
        if packets.get(cv2.CAP_PROP_LRF_HAS_KEY_FRAME) and header != self._header:
            self._header = header
            size = _size_of(packet, int(packets.get(cv2.CAP_PROP_FOURCC)))
            if self._latest is None and size != self._size:  # turned or cropped: not to be compared
                self.close()
            elif size is not None and size != self._latest:
                if self._latest is not None:
                    self._changes.append((self._read, packets.get(cv2.CAP_PROP_POS_MSEC), size))
                self._latest = size
        self._read += 1

    def _warn(self, size: Size) -> None:
        if not self._warned:
            before, after = ("x".join(map(str, each)) for each in (self._size, size))
            log.warning(
                "source %s: the pictures change from %s to %s after %d frames",
                *(self._name, before, after, self._given),
            )
        self._warned = True


def _size_of(packet: bytes, fourcc: int) -> Size | None:
    """Look up the size of the picture in a packet with a key frame; None if OpenCV cannot tell."""
    codec = fourcc.to_bytes(4, "little", signed=True)
    if codec.decode("latin-1").upper() in _IVF:
        head = struct.pack("<4sHH4sHHIIII", b"DKIF", 0, 32, codec.upper(), 0, 0, 30, 1, 1, 0)
        packet = head + struct.pack("<IQ", len(packet), 0) + packet
    with TemporaryDirectory() as folder:
        path = Path(folder) / "packet"
        path.write_bytes(packet)
        capture = open_capture(path, timeout_s=0)
        if capture is None:
            return None
        width, height = capture.get(cv2.CAP_PROP_FRAME_WIDTH), capture.get(cv2.CAP_PROP_FRAME_HEIGHT)
        capture.release()
    return int(width), int(height)
