"""Reader of network streams with PyAV: pictures in their true size, and compressed packets."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Generator
from contextlib import closing
from fractions import Fraction
from typing import Any, cast

import av
import numpy as np
from av.container import InputContainer
from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from edgeloop.edge.host.hardware import decoder_threads
from edgeloop.edge.sources.packets.packet_ring import Packet, PacketFormat, PacketRing
from edgeloop.edge.sources.reconnect import Connection
from edgeloop.models.errors import UnavailableError

__all__ = ["connect_stream"]

OPEN_S = 10.0
"""Longest wait in seconds for a stream to open."""

KEY_FRAME_S = 10.0
"""Longest wait in seconds for a key frame: streams that refresh a part of each picture never have one."""

_MAX_PIXELS = 1 << 26
"""Pixels of the largest picture that is decoded, twice those of 8K; a larger one would use up the memory."""

# The pictures that FFmpeg reads to know the stream are late by that time; they are not lost.
_OPTIONS = {
    "rtsp_transport": "tcp",
    "analyzeduration": "500000",
    "fpsprobesize": "2",
    "overrun_nonfatal": "1",  # a udp stream that was not read in time goes on with what comes
}
_STRICT_FAILURES = 5
"""Failures at the start after which damage is tolerated: some cameras break the standard in each picture."""

_KEPT = ("h264", "hevc", "mjpeg")
"""Codecs whose packets are kept."""

_START_CODE = re.compile(rb"\x00\x00\x01")
_JPEG_SIZE = re.compile(rb"\xff\xd8.{1,4096}?\xff[\xc0-\xc2]\x00.\x08(.{4})", re.DOTALL)

_Packets = Generator["av.Packet[VideoStream]", None, None]


def connect_stream(
    name: str,
    address: str,
    *,
    read_s: float,
    ring: PacketRing | None,
    on_unreadable: Callable[[], object],
    silence: Callable[[], str | None],
) -> Connection | None:
    """Connect to a stream.

    Args:
        name: Name of the stream for errors, without secrets.
        address: Address with its secrets.
        read_s: Longest wait in seconds for a packet.
        ring: Gets the packets; None to keep none.
        on_unreadable: Called for each picture that arrived and could not be decoded.
        silence: Asks whether the server answers: the reason if it does not, else None.

    Returns:
        The connection; None if OpenCV has to read it: a recording of known length, or a protocol that this
        FFmpeg does not speak.

    Raises:
        UnavailableError: It cannot be opened, or has no video.
    """
    try:
        container = av.open(address, options=_OPTIONS, timeout=(OPEN_S, read_s))
    except av.error.ProtocolNotFoundError:
        return None
    except (av.FFmpegError, ValueError, OSError) as error:  # whose texts quote the address
        reason = silence() or f"no video arrives ({_reason(error)})"
        raise UnavailableError(f"stream {name}: cannot be opened: {reason}") from None
    if not container.streams.video or container.streams.video[0].codec_context is None:
        container.close()
        raise UnavailableError(f"stream {name}: has no video that can be decoded")
    if (container.duration or 0) > 0:
        container.close()
        return None
    stream = container.streams.video[0]
    rate = float(stream.guessed_rate or 0)
    reader = _StreamReader(name, container, stream, read_s, ring, on_unreadable)
    return Connection(reader.images(), rate if 0 < rate < 1000 else None)


class _StreamReader:
    """Pictures of an open container, which it closes at the end."""

    def __init__(
        self,
        name: str,
        container: InputContainer,
        stream: VideoStream,
        read_s: float,
        ring: PacketRing | None,
        on_unreadable: Callable[[], object],
    ) -> None:
        self._name, self._container, self._stream = name, container, stream
        self._read_s, self._on_unreadable = read_s, on_unreadable
        self._decoder, self._failed_first = _open_decoder(stream, strict=True), 0
        self._reformatter = VideoReformatter()
        self._keeper = None
        if ring is not None and stream.codec_context.codec.canonical_name in _KEPT:
            self._keeper = _PacketKeeper(ring, stream)

    def images(self) -> Generator[NDArray[np.uint8], None, None]:
        """Yield the pictures until the stream ends.

        Raises:
            UnavailableError: The stream broke off or is silent.
        """
        key_until, is_first = time.monotonic() + KEY_FRAME_S, True
        try:
            with closing(cast("_Packets", self._container.demux(self._stream))) as packets:
                for packet in packets:
                    now = time.monotonic()
                    if packet.size == 0:  # at the end of the stream
                        return
                    if self._keeper is not None:
                        self._keeper.keep(packet, now)
                    if packet.is_keyframe or now > key_until:
                        key_until, is_first = math.inf, False
                    if key_until < math.inf:  # what refers to a picture that is not there looks damaged
                        images = None
                    else:
                        images = self._decode(packet)
                        key_until = now + KEY_FRAME_S if images is None else math.inf
                    if images is None and not is_first:
                        self._on_unreadable()
                    yield from images or ()
        except av.error.ExitError:
            reason = f"no frame for {self._read_s:g} s; the connection is lost"
            raise UnavailableError(f"stream {self._name}: {reason}") from None
        except (av.FFmpegError, OSError) as error:
            raise UnavailableError(f"stream {self._name}: broke off ({_reason(error)})") from None
        finally:
            if self._keeper is not None:
                self._keeper.close()
            self._container.close()
            del self._decoder, self._reformatter  # what holds an error also holds this

    def _decode(self, packet: av.Packet[VideoStream]) -> list[NDArray[np.uint8]] | None:
        """Decode the pictures that a packet completes; None if one of them is damaged."""
        images: list[NDArray[np.uint8]] | None = None
        try:
            frames = self._decoder.decode(packet)
            if not packet.is_corrupt and not any(frame.is_corrupt for frame in frames):
                images = [self._as_array(frame) for frame in frames]
        except (av.FFmpegError, ValueError, MemoryError, OSError):  # whatever the bytes lead the decoder to
            pass
        if images:
            self._failed_first = -1
        elif images is None and self._failed_first >= 0:
            self._failed_first += 1
            if self._failed_first == _STRICT_FAILURES:
                self._decoder = _open_decoder(self._stream, strict=False)
        return images

    def _as_array(self, frame: av.VideoFrame) -> NDArray[np.uint8]:
        """Convert a picture to HxWx3 uint8 BGR, without another copy if its rows follow each other."""
        converted = self._reformatter.reformat(frame, format="bgr24")
        plane, shape = converted.planes[0], (converted.height, converted.width, 3)
        if plane.line_size != shape[1] * 3:
            return np.asarray(converted.to_ndarray(), np.uint8)
        return np.frombuffer(memoryview(plane), np.uint8, math.prod(shape)).reshape(shape)


def _open_decoder(stream: VideoStream, *, strict: bool) -> VideoCodecContext:
    """Open a decoder without delay. A strict one refuses damaged pictures, any other guesses the rest."""
    described = stream.codec_context
    decoder = cast("VideoCodecContext", av.CodecContext.create(described.codec, "r"))
    decoder.extradata = described.extradata
    decoder.thread_count = decoder_threads(described.width * described.height)
    decoder.thread_type = "SLICE"  # threads by frame would delay each picture by one frame a thread
    decoder.flags |= av.codec.context.Flags.low_delay
    decoder.options = {"max_pixels": str(_MAX_PIXELS)} | ({"err_detect": "explode"} if strict else {})
    return decoder


class _PacketKeeper:
    """Puts the packets of one connection into a ring, in a form that needs nothing of the connection."""

    def __init__(self, ring: PacketRing, stream: VideoStream) -> None:
        self._ring, self._codec = ring, stream.codec_context.codec.canonical_name
        self._connection = ring.connect()
        self._time_base = stream.time_base or Fraction(1, 90_000)
        # Containers such as FLV have lengths for start codes, and the parameter sets elsewhere.
        self._filter = None
        self._parameters = bytes(stream.codec_context.extradata or b"")
        if self._codec != "mjpeg" and self._parameters[:1] == b"\x01":
            self._filter = av.bitstream.BitStreamFilterContext(f"{self._codec}_mp4toannexb", stream)
        self._format: PacketFormat | None = None
        # The clock of a stream without one is invented from its rate.
        self._has_clock = self._codec != "mjpeg" or stream.container.format.name == "rtsp"

    def keep(self, packet: av.Packet[VideoStream], now: float) -> None:
        """Add a packet, which stays as it is."""
        try:
            for each in [packet] if self._filter is None else self._filter.filter(_copy(packet)):
                self._add(each, now)
        except (av.FFmpegError, ValueError):
            pass

    def close(self) -> None:
        """End with the connection."""
        self._ring.leave(self._connection)

    def _add(self, packet: av.Packet[Any], now: float) -> None:
        data, is_key = bytes(packet), packet.is_keyframe
        if self._codec == "mjpeg":
            found = _JPEG_SIZE.match(data)
            self._format = PacketFormat(self._codec, found[1] if found else b"")
        elif is_key:
            sets = _sequence_sets(data, self._codec)
            if not sets:  # as of cameras that send them only when they are asked for a description
                data = self._parameters + data
                sets = _sequence_sets(data, self._codec)
            self._format = PacketFormat(self._codec, sets)
        if self._format is not None:
            dts, pts = (self._seconds(each) for each in (packet.dts, packet.pts))
            dts = pts if dts is None else dts  # FFmpeg knows it only after some packets
            self._ring.add(self._connection, Packet(data, is_key, now, self._format, dts, pts))

    def _seconds(self, stamp: int | None) -> float | None:
        return float(stamp * self._time_base) if stamp is not None and self._has_clock else None


def _copy(packet: av.Packet[VideoStream]) -> av.Packet[Any]:
    """Copy a packet for a filter, which takes what it is given."""
    copied = av.Packet(bytes(packet))
    copied.pts, copied.dts, copied.is_keyframe = packet.pts, packet.dts, packet.is_keyframe
    copied.time_base = packet.time_base
    return copied


def _sequence_sets(data: bytes, codec: str) -> bytes:
    """Extract the sequence parameter sets of H.264 or H.265 with start codes; empty if there are none."""
    starts = [found.end() for found in _START_CODE.finditer(data)]
    ends = [start - 3 for start in starts[1:]] + [len(data)]
    units = (data[start:end].rstrip(b"\0") for start, end in zip(starts, ends, strict=True))
    return b"".join(unit for unit in units if unit and _is_sequence_set(unit[0], codec))


def _is_sequence_set(header: int, codec: str) -> bool:
    return header & 0x1F == 7 if codec == "h264" else header >> 1 & 0x3F == 33


def _reason(error: Exception) -> str:
    """Describe a failure by FFmpeg's own words, which hold no address."""
    if isinstance(error, av.error.ExitError):
        return f"none within {OPEN_S:g} s"
    return getattr(error, "strerror", None) or type(error).__name__
