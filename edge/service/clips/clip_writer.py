"""Clips from compressed packets: put into a file as they are, without encoding anew."""

from __future__ import annotations

import errno
import io
import os
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av

from edgeloop.edge.host.disk_space import BudgetedFolder
from edgeloop.edge.host.durable_file import sync_folder
from edgeloop.edge.sources.packets.packet_ring import Packet, PacketFormat

__all__ = ["PARTIAL", "ClipWriter", "Timeline", "clip_seconds", "clip_suffix"]

PARTIAL = ".partial"
"""Suffix of a clip that is not whole."""

_TICKS = 90_000
_TIME_BASE = Fraction(1, _TICKS)
_FRAGMENT_S = 1.0
"""Seconds between two pieces on disk: if the process is killed, the clip plays up to the last one."""

_FILES = {
    ".mp4": (
        "mp4",
        {
            "movflags": "frag_keyframe+empty_moov+default_base_moof",
            "frag_duration": f"{_FRAGMENT_S * 1e6:.0f}",
            "flush_packets": "1",
        },
    ),
    ".mkv": ("matroska", {"cluster_time_limit": f"{_FRAGMENT_S * 1e3:.0f}", "flush_packets": "1"}),
}

_MIN_STEP_S = 0.001
_MAX_DRIFT_S = 2.0
"""Longest time in seconds by which the clock of a stream may run beside that of this machine in one step."""


def clip_suffix(packets: PacketFormat) -> str:
    """Suffix of a clip of packets of a format: browsers play MP4, but hardly anything plays JPEG in it."""
    return ".mkv" if packets.codec == "mjpeg" else ".mp4"


def clip_seconds(path: Path) -> float | None:
    """Measure the time in seconds that a clip plays, also one that was cut off; None if it has no picture."""
    try:
        with av.open(str(path)) as clip:
            stamps = [
                float(each.pts * each.time_base) for each in clip.demux(video=0) if each.pts is not None
            ]
    except (av.FFmpegError, OSError, ValueError, IndexError):
        return None
    return max(stamps) - min(stamps) if stamps else None


class ClipWriter:
    """Clip that is being written: under a partial name, and under its own once it is whole.

    Attributes:
        path: The clip, once it is whole.
    """

    def __init__(self, path: Path, first: Packet, budget: BudgetedFolder) -> None:
        """Begin with a key frame.

        Args:
            path: The clip.
            first: The key frame.
            budget: Folder of the clips, asked before the file grows.

        Raises:
            OSError: The file cannot be written, or there is no room for it.
            ValueError: The packets fit into no file.
        """
        self.path, self._budget = path, budget
        self._partial = path.with_name(path.name + PARTIAL)
        self._times = Timeline()
        name, options = _FILES[path.suffix]
        self._file = _ClaimedFile(self._partial, budget)
        self._container = av.open(self._file, "w", format=name, options=options)
        try:
            # A key frame describes its stream, so that nothing of a connection is needed.
            with av.open(io.BytesIO(first.data), format=first.format.codec) as described:
                if not described.streams.video:
                    raise ValueError(f"{path.name}: no picture in its first packet")
                template = described.streams.video[0]
                self._stream = self._container.add_stream_from_template(template, opaque=True)
            if first.format.codec == "hevc":
                self._stream.codec_context.codec_tag = "hvc1"  # the one that browsers play
            self.add(first)
        except BaseException:
            self.abandon()
            raise

    def add(self, packet: Packet) -> None:
        """Add the next packet of the same format.

        Raises:
            OSError: The file cannot be written, or there is no room for it.
        """
        out = av.Packet(packet.data)
        out.dts, out.pts = self._times.place(packet)
        out.time_base, out.stream, out.is_keyframe = _TIME_BASE, self._stream, packet.is_key
        self._container.mux(out)

    def finish(self) -> None:
        """Give the clip its name, once it is on disk. After a failure it holds what was written before.

        Raises:
            OSError: It cannot be written.
        """
        self._close_container()
        self._file.sync()
        self._file.close()
        self._partial.rename(self.path)
        sync_folder(self.path.parent)
        self._budget.release(self._file.size)
        self._budget.add(self.path)

    def abandon(self) -> None:
        """Delete it."""
        self._file.ended = True
        self._close_container()
        self._file.close()
        self._budget.release(self._file.size)
        with suppress(OSError):
            self._partial.unlink()

    def _close_container(self) -> None:
        with suppress(av.FFmpegError, OSError):  # a clip plays also without its last second
            self._container.close()


class _ClaimedFile(io.RawIOBase):
    """File that asks before it grows, and takes nothing more once it was refused or failed."""

    def __init__(self, path: Path, budget: BudgetedFolder) -> None:
        self._budget, self.size, self.ended = budget, 0, False
        self._file = path.open("wb", buffering=0)

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def write(self, data: bytes) -> int:  # type: ignore[override]
        if self.ended:
            return len(data)
        try:
            growth = max(0, self._file.tell() + len(data) - self.size)
            if growth and not self._budget.claim(growth):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self.size += growth
            left = memoryview(data)
            while left:
                left = left[self._file.write(left) :]
        except OSError:
            self.ended = True
            raise
        return len(data)

    def sync(self) -> None:
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()
        super().close()


class Timeline:
    """Times of packets in a clip: those of the stream; of their arrival if it has none, or if they jump."""

    def __init__(self) -> None:
        """Begin before the first packet."""
        self._before: Packet | None = None
        self._at_s = 0.0

    def place(self, packet: Packet) -> tuple[int, int]:
        """Time of decoding and of display of the next packet since the first, in ticks."""
        if self._before is not None:
            self._at_s += max(self._step_s(self._before, packet), _MIN_STEP_S)
        self._before = packet
        ahead_s = 0.0
        if packet.pts_s is not None and packet.dts_s is not None:
            ahead_s = min(max(packet.pts_s - packet.dts_s, 0.0), _MAX_DRIFT_S)
        return round(self._at_s * _TICKS), round((self._at_s + ahead_s) * _TICKS)

    @staticmethod
    def _step_s(before: Packet, packet: Packet) -> float:
        arrived_s = packet.arrived_at - before.arrived_at
        if packet.dts_s is None or before.dts_s is None:
            return arrived_s
        step_s = packet.dts_s - before.dts_s
        return step_s if step_s > 0 and abs(step_s - arrived_s) < _MAX_DRIFT_S else arrived_s
