"""Live sources that wait for a camera or stream that is not there yet, and connect again when it is lost.

Each connection is opened and read in a thread of its own, so one that hangs in its driver keeps neither the
next one nor the end of the program waiting. While a camera is silent or frozen, another connection is opened
beside the one that is there, and whichever gives a frame first stays: nobody can tell a camera that sends
nothing because nothing moves from one that is lost, and this is right for both.
"""

from __future__ import annotations

import logging
import math
import queue
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.host.malloc import return_freed_memory
from edgeloop.edge.sources.live import WAKE_S, LinkState, LinkStatus, LivePolicy, LiveSource
from edgeloop.models.errors import EdgeloopError, UnavailableError

__all__ = ["LISTEN_S", "OPEN_S", "Connection", "Images", "open_live"]

PAUSES = ((60.0, 1.0), (300.0, 5.0), (900.0, 10.0), (math.inf, 60.0))
"""(Seconds of trouble, seconds between the starts of two attempts to connect).

Most cameras that are lost restart or change their access point, which takes less than a minute: until then an
attempt a second, which costs a refused connection, brings the picture back at once. The longer it lasts, the
less a further pause adds to the gap: a fifteenth or less, up to a minute.
"""

STEADY_S = 10.0
"""Seconds for which frames must arrive again before the pauses start anew: for a camera that goes on and off
they grow."""

OPEN_S = 11.0
"""Longest time in seconds for a connection to open; beyond it, it hangs."""

LISTEN_S = 180.0
"""Longest wait in seconds for a frame of an open connection, if another one is opened beside it meanwhile."""

MAX_LISTENING, MAX_THREADS = 3, 6
"""Maximum number of connections at a time, and with those that hang although they were given up."""

CLOSE_S = 0.5
"""Longest wait in seconds for all connections to be released at the end."""

Image: TypeAlias = NDArray[np.uint8]
Images = Generator[Image, None, None]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Connection:
    """Camera or stream that is open.

    Attributes:
        images: Images (HxWx3 uint8, BGR), each yielded when it arrives.
        fps: Nominal frames per second; None if unknown.
    """

    images: Images
    fps: float | None = None


def open_live(name: str, connect: Callable[[], Connection], policy: LivePolicy) -> LiveSource:
    """Open a live source that waits for what is not there yet, and connects again, if the policy says so.

    Args:
        name: Name of the source.
        connect: Opens the camera or stream, or raises UnavailableError. Called in any thread.
        policy: How long to wait, and how to treat late frames.

    Returns:
        The source. Its rate is unknown if it is not there yet.

    Raises:
        UnavailableError: It is not there, and the policy is to fail at once.
    """
    if not policy.reconnect_s:
        first = connect()
        return LiveSource(name, first.images, fps=first.fps, policy=policy)
    link = LinkState()
    images = _Supervised(name, connect, policy, link)
    source = LiveSource(name, images, fps=None, policy=policy, link=link)
    source.fps = images.begin(source)
    return source


@dataclass(frozen=True, slots=True)
class _Ended:
    error: Exception | None


class _Reader:
    """Connection that is opened and read in a thread of its own.

    Attributes:
        started_at: Monotonic clock in seconds when it was started.
        tried: Set once it is open or has failed.
        is_open: True once it is open.
        fps: Nominal frames per second; None if unknown.
        closed: Set to end it after the frame in hand.
    """

    def __init__(
        self,
        name: str,
        connect: Callable[[], Connection],
        begun: threading.Event,
        inbox: queue.Queue[tuple[_Reader, Image | _Ended]],
    ) -> None:
        self.started_at = time.monotonic()
        self.tried = threading.Event()
        self.is_open = self.closed = False
        self.fps: float | None = None
        self._connect, self._begun, self._inbox = connect, begun, inbox
        self._thread = threading.Thread(target=self._run, name=f"connection {name}", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def join(self, timeout_s: float) -> None:
        self._thread.join(timeout_s)

    def _run(self) -> None:
        self._read()
        return_freed_memory()

    def _read(self) -> None:
        ended = _Ended(None)
        try:
            opened = self._connect()
            self.fps, self.is_open = opened.fps, True
            self.tried.set()
            while not (self.closed or self._begun.wait(WAKE_S)):
                pass
            with closing(opened.images) as images:
                if not self.closed:
                    all(map(self._hand_over, images))
        except Exception as error:  # whatever it is, it ends this connection and no more
            ended = _Ended(error.with_traceback(None))  # it would keep this frame, and the connection
        finally:
            self.tried.set()
            self._hand_over(ended)

    def _hand_over(self, item: Image | _Ended) -> bool:
        """Wait until the item is taken; False if the connection was closed."""
        while not self.closed:
            try:
                self._inbox.put((self, item), timeout=WAKE_S)
                return True
            except queue.Full:
                pass
        return False


class _Supervised:
    """Images of a camera or stream through all its connections. Runs in the capture thread of its source."""

    def __init__(
        self, name: str, connect: Callable[[], Connection], policy: LivePolicy, link: LinkState
    ) -> None:
        self._name, self._connect, self._policy, self._link = name, connect, policy, link
        self._inbox: queue.Queue[tuple[_Reader, Image | _Ended]] = queue.Queue(maxsize=1)
        self._begun = threading.Event()
        self._readers: list[_Reader] = []
        self._hanging: list[_Reader] = []
        self._leader: _Reader | None = None
        self._picture: Image | None = None
        now = time.monotonic()
        self._came_at = self._same_since = now
        self._trouble_at: float | None = now
        self._tried_at = -math.inf
        self._error: Exception | None = None

    def begin(self, source: LiveSource) -> float | None:
        """Open the first connection of a source. Returns its rate if it is there soon."""
        self._source = source
        first = self._open()
        first.tried.wait(OPEN_S)
        return first.fps

    def __iter__(self) -> Iterator[Image]:
        self._begun.set()
        self._came_at = time.monotonic()
        while not self._source.stopped:
            now = time.monotonic()
            self._supervise(now)
            if now - self._came_at >= self._policy.reconnect_s:
                self._give_up()
                return
            try:
                reader, item = self._inbox.get(timeout=WAKE_S)
            except queue.Empty:
                continue
            if reader not in self._readers:
                continue
            if isinstance(item, _Ended):
                self._end(reader, item.error)
            else:
                self._take(reader, item)
                yield item

    def close(self) -> None:
        """Close all connections, and wait a little for those that can be released."""
        readers, ends_at = self._readers, time.monotonic() + CLOSE_S
        self._readers = []
        for reader in readers:
            reader.closed = True
        for reader in readers:
            reader.join(max(0.0, ends_at - time.monotonic()))

    def _supervise(self, now: float) -> None:
        """Note the state of the connection, and open another one if it is due."""
        status = self._status(now)
        if status != self._link.status:
            self._note(status, now)
        if status != "open":
            self._trouble_at = now if self._trouble_at is None else self._trouble_at
            if self._is_due(status, now):
                try:
                    self._open()
                except RuntimeError as error:  # no thread can be started; perhaps the next time
                    self._link.reason = str(error)
        elif self._trouble_at is not None and now - self._link.since >= STEADY_S:
            self._trouble_at = None

    def _status(self, now: float) -> LinkStatus:
        policy = self._policy
        if self._picture is None:
            return "waiting"
        if self._leader is None:
            return "lost"
        if now - self._came_at >= policy.silent_s:
            return "silent"
        if policy.frozen_s and self._came_at - self._same_since >= policy.frozen_s:
            return "frozen"
        return "open"

    def _note(self, status: LinkStatus, now: float) -> None:
        """Change the status; a loss and the return are logged once each."""
        link, was_open = self._link, self._link.status == "open"
        if status == "open":
            stalled_s = link.change(status)
            if stalled_s:
                name, extra = self._source.name, {"event": "camera-back", "camera": self._source.name}
                log.warning("%s: back after %.1f s", name, stalled_s, extra=extra)
            return
        link.change(status, self._same_since if status == "frozen" else self._came_at)
        if was_open:
            if status == "lost":
                self._log_loss(str(self._error or "ended"))
            elif status == "silent":
                self._log_loss(f"no frame for {now - self._came_at:.0f} s")
            else:
                self._log_loss(f"the same picture for {now - self._same_since:.0f} s")

    def _log_loss(self, reason: str) -> None:
        name, self._link.reason = self._source.name, reason
        extra = {"event": "camera-lost", "camera": name}
        log.warning("%s; opening it again", reason if name in reason else f"{name}: {reason}", extra=extra)

    def _is_due(self, status: LinkStatus, now: float) -> bool:
        """True if another connection is to be opened beside those that are there."""
        beside = [reader for reader in self._readers if reader is not self._leader]
        if any(not reader.is_open and now - reader.started_at < OPEN_S for reader in beside):
            return False
        self._hanging = [reader for reader in self._hanging if reader.alive]
        if len(self._readers) >= MAX_LISTENING or len(self._readers) + len(self._hanging) >= MAX_THREADS:
            return False
        trouble_s = now - (self._trouble_at or now)
        pause_s = next(pause for until, pause in PAUSES if trouble_s < until)
        if status == "frozen":  # what was opened gave the same picture: no more often than it takes to tell
            pause_s = max(pause_s, self._policy.frozen_s)
        elif any(reader.is_open for reader in beside):  # which may give a frame at any time
            pause_s = PAUSES[-1][1] if self._leader else max(pause_s, self._policy.silent_s)
        return now - self._tried_at >= pause_s

    def _open(self) -> _Reader:
        self._tried_at = time.monotonic()
        reader = _Reader(self._source.name, self._connect, self._begun, self._inbox)
        self._readers.append(reader)
        return reader

    def _take(self, reader: _Reader, image: Image) -> None:
        """Note an image. The first one of a new connection, or of one that was lost, closes the others."""
        now, frozen_s, earlier = time.monotonic(), self._policy.frozen_s, self._picture
        if earlier is None or not frozen_s or not _is_same(image, earlier):
            self._picture, self._same_since = image, now
        is_new, self._leader = reader is not self._leader, reader
        if is_new:
            self._link.reconnects += earlier is not None
        if is_new or not frozen_s or now - self._same_since < frozen_s:
            others = [other for other in self._readers if other is not reader]
            for other in others:
                other.closed = True
            self._hanging += others
            self._readers, self._error = [reader], None
        self._came_at = now
        self._supervise(now)

    def _end(self, reader: _Reader, error: Exception | None) -> None:
        """Note the end of a connection."""
        if error is not None and not isinstance(error, EdgeloopError):  # its text may hold a secret
            error = UnavailableError(f"{self._name}: {type(error).__name__}")
        self._readers.remove(reader)
        if self._leader in (None, reader):
            self._link.reason = str(error or "ended")
        if reader is self._leader:
            self._leader, self._error = None, error
        elif self._link.status == "waiting":
            if not self._link.stalled_s:
                self._log_loss(str(error or "ended"))
                self._link.change("waiting", self._came_at)
            self._error = error

    def _give_up(self) -> None:
        """Raise the failure that has lasted for too long; a stream that ended regularly has none."""
        error, back = self._error, "there" if self._picture is None else "back"
        if self._leader is not None:
            error = UnavailableError(f"{self._name}: no frame")
        if error is not None:
            raise UnavailableError(f"{error}; not {back} within {self._policy.reconnect_s:g} s")


def _is_same(image: Image, other: Image) -> bool:
    """True if two images are equal; most that differ do so in a few of their rows."""
    return (
        image.shape == other.shape
        and np.array_equal(image[::64], other[::64])
        and np.array_equal(image, other)
    )
