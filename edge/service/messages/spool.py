"""Spool: messages that wait on disk, in order, until their destination has acknowledged them.

A message is first in memory, and on disk about 0.2 s later, unless it was acknowledged by then. A file of the
spool holds one message per line, with its number and a checksum, so that a line that was cut off is noticed.
"""

from __future__ import annotations

import logging
import os
import re
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from zlib import crc32

from edgeloop.edge.host.disk_space import MB, free_mb
from edgeloop.edge.host.durable_file import replace_file, sync_folder
from edgeloop.models.errors import EdgeloopError

__all__ = ["Spool"]

log = logging.getLogger(__name__)

FLUSH_S = 0.2
"""Seconds for which messages are collected before they are written together."""

RETRY_S = 1.0
"""Seconds between two attempts to write to a disk that is full."""

MEMORY = 10_000
"""Number of messages held in memory while the disk takes none."""

SEGMENTS = 16
"""Number of files that a full spool has: when it is full, the oldest of them goes."""

MAX_SEGMENT = 1 << 20

_NAME = re.compile(r"[0-9]{16}\.spool")
_DONE = re.compile(rb"([0-9]{1,16})\n")
_LINE = re.compile(rb"([0-9]{1,16}) ([0-9a-f]{8}) (.*)", re.DOTALL)

Record = tuple[int, bytes]


@dataclass(slots=True)
class _Segment:
    """One file: the numbers of its first and last message, and how many it holds."""

    path: Path
    first: int
    last: int
    count: int
    size: int

    def waiting(self, done: int) -> int:
        """Number of its messages after number `done`."""
        return self.count if done < self.first else max(0, self.last - done)


class Spool:
    """Messages for one destination.

    `append` is for the threads of the loop and never waits for the disk; `take`, `acknowledge` and `rewind`
    are for the one thread that sends.

    Attributes:
        overflowed: Number of messages lost because the spool was full, or its disk.
    """

    def __init__(
        self, folder: Path, *, max_mb: float, keep_free_mb: float = 0.0, memory: int = MEMORY
    ) -> None:
        """Find what was not acknowledged before.

        Args:
            folder: Folder of its files, created if it is missing; no other spool may use it.
            max_mb: Maximum size in MB of its files. When it is full, the oldest messages go.
            keep_free_mb: Free space in MB that is left on the disk.
            memory: Number of messages held in memory while the disk takes none.
        """
        self._folder, self._name = folder, f"spool {folder.name}"
        self._max_bytes, self._keep_free_mb, self._memory = int(max_mb * MB), keep_free_mb, memory
        self._segment_bytes = min(MAX_SEGMENT, self._max_bytes // SEGMENTS)
        self.overflowed = 0
        self._gate = threading.Lock()
        self._incoming: deque[bytes] = deque()
        self._lock = threading.Lock()
        self._tail: deque[Record] = deque()  # newer than what is on disk
        self._window: deque[Record] = deque()  # read from disk, not handed out yet
        self._out: dict[int, None] = {}  # handed out, not acknowledged yet, in order
        self._segments: deque[_Segment] = deque()
        self._file: BinaryIO | None = None
        self._trouble, self._is_short = "", False
        self._overflows = False
        self._wake, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._keep, name=self._name, daemon=True)
        self._saved = self._done = self._recover()
        self._cursor = self._done + 1
        self._next = max(self._done, self._segments[-1].last if self._segments else 0) + 1

    def start(self) -> None:
        """Start the thread that writes to disk."""
        self._thread.start()

    def append(self, message: bytes) -> None:
        """Take a message of one line; never waits for the disk.

        Raises:
            ValueError: It has more than one line.
        """
        if b"\n" in message:
            raise ValueError("a message of a spool is one line")
        with self._gate:
            if len(message) <= self._max_bytes:
                self._incoming.append(message)
            if len(message) > self._max_bytes or len(self._incoming) > self._memory:
                self.overflowed += 1
            if len(self._incoming) > self._memory:
                self._incoming.popleft()
        self._wake.set()

    def take(self) -> Record | None:
        """Take the oldest message that was not taken yet.

        Returns:
            Its number, to acknowledge it by, and the message; None if there is none.
        """
        with self._lock:
            self._drain()
            record = self._following()
            if record is not None:
                self._cursor = record[0] + 1
                self._out[record[0]] = None
            return record

    def acknowledge(self, number: int) -> None:
        """Forget a message; those before it that were taken and are not acknowledged yet stay."""
        with self._lock:
            self._out.pop(number, None)
            self._done = max(self._done, next(iter(self._out), self._cursor) - 1)
            while self._tail and self._tail[0][0] <= self._done:
                self._tail.popleft()
            if self._segments:
                self._wake.set()

    def rewind(self) -> None:
        """Begin again with the oldest message that is not acknowledged."""
        with self._lock:
            self._cursor = self._done + 1
            self._out.clear()
            self._window.clear()

    @property
    def waiting(self) -> int:
        """Number of messages that are not acknowledged yet."""
        with self._lock:
            on_disk = sum(segment.waiting(self._done) for segment in self._segments)
            return len(self._incoming) + len(self._tail) + on_disk

    def flush(self) -> None:
        """Write to disk what is not there yet, and delete what is done."""
        with self._lock:
            self._drain()
            try:
                self._release()
                self._write()
            except (OSError, EdgeloopError) as error:
                self._hold(str(error))

    def close(self) -> None:
        """Write everything to disk and end the thread."""
        self._stop.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(1.0)
        if not self._thread.is_alive():  # it hangs in the disk otherwise
            self.flush()
            self._close_file()

    def _keep(self) -> None:
        while not self._stop.is_set():
            self._wake.wait(RETRY_S if self._trouble else None)
            self._wake.clear()
            self._stop.wait(FLUSH_S)
            self.flush()

    def _drain(self) -> None:
        """Number what came."""
        with self._gate:
            came, self._incoming = self._incoming, deque()
        for message in came:
            self._tail.append((self._next, message))
            self._next += 1

    def _following(self) -> Record | None:
        """Find the first message at or after the cursor."""
        while self._window and self._window[0][0] < self._cursor:
            self._window.popleft()
        if not self._window:
            self._load()
        if self._window:
            return self._window.popleft()
        if self._tail:
            index = max(0, self._cursor - self._tail[0][0])
            if index < len(self._tail):
                return self._tail[index]
        return None

    def _load(self) -> None:
        """Read the file in which the message at the cursor is."""
        for segment in [*self._segments]:
            if segment.last < self._cursor:
                continue
            try:
                found = [record for record in _read(segment.path) if record[0] >= self._cursor]
            except OSError as error:
                self._say("spool-damaged", f"{segment.path.name} is lost ({error.strerror})")
                with self._gate:
                    self.overflowed += self._drop(segment)
                continue
            self._window.extend(record for record in found if record[0] <= segment.last)
            if self._window:
                return

    def _release(self) -> None:
        """Delete the files of which everything is acknowledged, and note how far the next one is."""
        while self._segments and self._segments[0].last <= self._done:
            finished = self._segments.popleft()
            if not self._segments:
                self._close_file()
            finished.path.unlink(missing_ok=True)
        if self._segments and self._saved < self._done >= self._segments[0].first:
            replace_file(self._folder / "done", b"%d\n" % self._done)
            self._saved = self._done
        if self._overflows and not self._segments and not self._tail:
            self._overflows = False
            self._say("spool-empty", f"empty again; {self.overflowed} messages were lost so far")

    def _write(self) -> None:
        """Write the messages that are in memory only, file by file."""
        if self._is_short and free_mb(self._folder) >= self._keep_free_mb:
            self._end_trouble()  # also if all that came was acknowledged meanwhile
        while self._tail:
            if free_mb(self._folder) < self._keep_free_mb:
                self._is_short = True
                raise OSError(f"the disk has less than {self._keep_free_mb:g} MB free")
            if self._file is None or self._segments[-1].size >= self._segment_bytes:
                self._close_file()
                self._file = self._open_file()
            segment, lines, size = self._segments[-1], list[bytes](), self._segments[-1].size
            for number, message in self._tail:
                lines.append(_line(number, message))
                size += len(lines[-1])
                if size >= self._segment_bytes:
                    break
            self._make_room(size - segment.size)
            self._append(self._file, b"".join(lines), segment)
            segment.last, segment.count = number, segment.count + len(lines)
            for _ in lines:
                self._tail.popleft()
            self._end_trouble()

    def _open_file(self) -> BinaryIO:
        first = self._tail[0][0]
        path = self._folder / f"{first:016d}.spool"
        self._folder.mkdir(parents=True, exist_ok=True)
        file = path.open("wb", buffering=0)  # in place of one that could not be read
        try:
            sync_folder(self._folder)
        except OSError:
            file.close()
            raise
        self._segments.append(_Segment(path, first, first - 1, 0, 0))
        return file

    def _append(self, file: BinaryIO, block: bytes, segment: _Segment) -> None:
        """Write whole lines; if that fails, none of them stays."""
        try:
            left = memoryview(block)
            while left:
                left = left[file.write(left) :]
            os.fsync(file.fileno())
        except OSError:
            with suppress(OSError):
                file.truncate(segment.size)
            self._close_file()
            raise
        segment.size += len(block)

    def _close_file(self) -> None:
        """Close the newest file, which is not written to again; one without messages is deleted."""
        if self._file is None:
            return
        self._file.close()
        self._file = None
        if self._segments and not self._segments[-1].count:
            self._segments.pop().path.unlink(missing_ok=True)

    def _make_room(self, size: int) -> None:
        used = sum(segment.size for segment in self._segments)
        while used + size > self._max_bytes and len(self._segments) > 1:
            used -= self._segments[0].size
            lost = self._segments[0]
            lost.path.unlink(missing_ok=True)
            self._lose(self._drop(lost))

    def _drop(self, segment: _Segment) -> int:
        """Forget a file that is gone. Returns the number of messages that were waiting in it."""
        if segment is self._segments[-1] and self._file is not None:
            self._file.close()
            self._file = None
        self._segments.remove(segment)
        self._cursor = max(self._cursor, segment.last + 1)
        return segment.waiting(self._done)

    def _lose(self, count: int) -> None:
        with self._gate:
            self.overflowed += count
        if count and not self._overflows:
            self._overflows = True
            self._say("spool-full", "full; the oldest messages are lost")

    def _end_trouble(self) -> None:
        if self._trouble:
            self._say("spool-writes", "messages are written to disk again")
        self._trouble, self._is_short = "", False

    def _hold(self, reason: str) -> None:
        """Keep messages in memory, as far as it reaches."""
        if not self._trouble:
            self._say("spool-held", f"{reason}; up to {self._memory} messages are kept in memory only")
        self._trouble = reason
        over = max(0, len(self._tail) - self._memory)
        for _ in range(over):
            self._tail.popleft()
        self._lose(over)

    def _say(self, event: str, text: str) -> None:
        log.warning("%s: %s", self._name, text, extra={"event": event, "part": self._name})

    def _recover(self) -> int:
        """Find the files of an earlier run. Returns the number up to which everything is acknowledged."""
        done = last = 0
        with suppress(OSError):
            if noted := _DONE.fullmatch((self._folder / "done").read_bytes()):
                last = done = int(noted[1])
        try:
            paths = sorted(path for path in self._folder.iterdir() if _NAME.fullmatch(path.name))
        except OSError:
            return done
        for path in paths:
            try:
                numbers = [number for number, _ in _read(path)]
                size = path.stat().st_size
            except OSError as error:
                self._say("spool-damaged", f"{path.name} is lost ({error.strerror})")
                continue
            if not numbers or numbers[-1] <= last:
                with suppress(OSError):
                    path.unlink()
                continue
            self._segments.append(_Segment(path, numbers[0], numbers[-1], len(numbers), size))
            last = numbers[-1]
        return done


def _line(number: int, message: bytes) -> bytes:
    return b"%d %08x %s\n" % (number, crc32(b"%d " % number + message), message)


def _read(path: Path) -> Iterator[Record]:
    """Read the messages of a file, without lines that were cut off or damaged."""
    last = 0
    for line in path.read_bytes().split(b"\n")[:-1]:
        found = _LINE.fullmatch(line)
        if found is None:
            continue
        number, message = int(found[1]), found[3]
        if number > last and int(found[2], 16) == crc32(b"%d " % number + message):
            last = number
            yield number, message
