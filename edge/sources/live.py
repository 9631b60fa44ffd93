"""Live sources: a capture thread and a buffer of one frame.

A queue in front of a model that is slower than its camera would add latency without limit. So the newest
frame replaces the one that waits, every drop is counted, and a frame that waited too long is not used.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.frame import Frame, Source

if TYPE_CHECKING:
    from edgeloop.edge.sources.packets.packet_ring import PacketRing
    from edgeloop.edge.sources.reconnect import Connection

__all__ = ["LinkState", "LinkStatus", "LivePolicy", "LiveSource"]

WAKE_S = 0.1
"""Seconds between two looks of a waiting consumer at the stop flag; a signal handler must not take locks."""

JOIN_S = 1.0
"""Longest wait in seconds for the capture thread, which may hang in a driver until its own time limit."""


@dataclass(frozen=True, slots=True)
class LivePolicy:
    """Treatment of late frames and lost connections of a live source.

    Attributes:
        max_age_s: Age in seconds beyond which a waiting frame is dropped and counted as stale. Lower values
            keep results current but may lose frames.
        reconnect_s: Time in seconds for which to retry a camera or stream that is not there, from the start
            or after its last frame; 0 to fail at once, infinity to retry without end. The next two apply
            unless it is 0.
        silent_s: Time in seconds without a frame after which to open another connection beside the first.
        frozen_s: Time in seconds of exactly the same picture after which to do so; 0 for never.
        connect_stream: Reader of network streams that gives pictures in their true size and packets, such as
            that of `edgeloop.edge.sources.packets`; None for OpenCV.
        packets_s: Time in seconds for which such a reader keeps compressed packets; 0 for none.
    """

    max_age_s: float = 1.0
    reconnect_s: float = 0.0
    silent_s: float = 5.0
    frozen_s: float = 60.0
    connect_stream: Callable[..., Connection | None] | None = None
    packets_s: float = 0.0


LinkStatus = Literal["waiting", "open", "silent", "frozen", "lost", "ended"]
"""Waiting for the first frame; open; open without new frames; open with the same picture; lost; ended."""


@dataclass(slots=True)
class LinkState:
    """Connection of a live source to its camera; written by its capture, read by any thread.

    Attributes:
        status: State of the connection.
        since: Monotonic clock in seconds of the last change of `status`.
        newest_at: Monotonic clock in seconds when the newest frame arrived; None before the first.
        arrived: Number of frames that arrived.
        reason: Last failure to connect, or that ended the connection; "" while it is open.
        reconnects: Number of connections after the first that delivered frames.
        size: (width, height) of the newest frame in pixels; None before the first.
    """

    status: LinkStatus = "waiting"
    since: float = field(default_factory=time.monotonic)
    newest_at: float | None = None
    arrived: int = 0
    reason: str = ""
    reconnects: int = 0
    size: tuple[int, int] | None = None
    _stalls: tuple[float, float | None] = field(default=(0.0, None), init=False, repr=False)

    @property
    def stalled_s(self) -> float:
        """Time in seconds without frames, or with a frozen picture, in all stalls up to now."""
        over_s, began_at = self._stalls
        return over_s if began_at is None else over_s + time.monotonic() - began_at

    def change(self, status: LinkStatus, stalled_at: float | None = None) -> float:
        """Change the status.

        Args:
            status: The new status.
            stalled_at: Monotonic clock in seconds when the stall began; None if there is none now. A stall
                that goes on keeps its beginning.

        Returns:
            Seconds of the stall that is over; 0 if there was none, or if it goes on.
        """
        now = time.monotonic()
        over_s, began_at = self._stalls
        self.status, self.since = status, now
        if status == "open":
            self.reason = ""
        if began_at is None:
            self._stalls = (over_s, stalled_at)
        elif stalled_at is None:
            self._stalls = (over_s + now - began_at, None)
            return now - began_at
        return 0.0


class ImageStream(Protocol):
    """Images (HxWx3 uint8, BGR), each given when it arrives: a generator is one."""

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        """Give the images; ends at the regular end of the stream, raises if the source fails."""
        ...

    def close(self) -> None:
        """Release the device."""
        ...


class LiveSource(Source):
    """Source of the newest frame of a camera, read by a thread.

    Attributes:
        link: State of its connection.
        packets: Compressed packets of the last seconds; None if it keeps none.
    """

    packets: PacketRing | None = None
    live = True
    length = None
    skipped = 0

    def __init__(
        self,
        name: str,
        images: ImageStream,
        *,
        fps: float | None,
        first_index: int = 0,
        policy: LivePolicy | None = None,
        link: LinkState | None = None,
    ) -> None:
        """Prepare to capture; the thread starts with the iteration, so that no frame is dropped before it.

        Args:
            name: Name of the source.
            images: Images as they arrive; iterated and closed by the capture thread.
            fps: Nominal frames per second; None if unknown.
            first_index: Index of the first frame.
            policy: How to treat late frames; None for the defaults.
            link: State of the connection, if `images` keeps it; None for a new one.
        """
        self.name = name
        self.fps = fps
        self._max_age_s = (policy or LivePolicy()).max_age_s
        self.dropped = self.stale = 0
        self.link = link or LinkState()
        self._images = images
        self._first_index = first_index
        self._lock = threading.Condition()
        self._bell = threading.Event()
        self._newest: Frame | None = None
        self._captured_at = self._due_at = 0.0
        self._ended = False
        self._error: Exception | None = None
        self._stopped = False
        self._thread = threading.Thread(target=self._capture, name=f"capture {name}", daemon=True)

    def __iter__(self) -> Iterator[Frame]:
        bell = threading.Event()
        self.start(bell)
        while True:
            frame = self.take()
            if frame is not None:
                yield frame
            elif self.over:
                return
            else:
                bell.wait(WAKE_S)
                bell.clear()

    def start(self, bell: threading.Event) -> None:
        """Start to capture, to `take` frames instead of iterating. Each frame, and the end, sets the bell."""
        self._bell = bell
        self._thread.start()

    def take(self, patience_s: float = 0.0) -> Frame | None:
        """Take the newest frame.

        Args:
            patience_s: Longest wait in seconds for a newer one that is due about now: after a short wait the
                result is younger by a whole frame.

        Returns:
            The frame; None if the newest was taken already or is stale, at the end of the stream, and after a
            stop.

        Raises:
            Exception: The failure that ended the source, after its last frame.
        """
        if self._stopped:
            return None
        with self._lock:
            if self._newest is not None and abs(self._due_at - time.monotonic()) < patience_s:
                self._lock.wait(patience_s)
            frame, self._newest = self._newest, None
            if frame is None and self._error is not None:
                raise self._error
        if frame is not None and time.monotonic() - frame.captured_at > self._max_age_s:
            self.stale += 1
            return None
        return frame

    def count_unreadable(self) -> None:
        """Count a picture that arrived and could not be decoded."""
        with self._lock:
            self.skipped += 1
            self.link.arrived += 1

    @property
    def over(self) -> bool:
        """True if `take` has nothing more to give or to raise."""
        with self._lock:
            return self._stopped or (self._ended and self._newest is None and self._error is None)

    @property
    def stopped(self) -> bool:
        """True once it was told to stop."""
        return self._stopped

    def stop(self) -> None:
        """End the iteration after the frame in hand."""
        self._stopped = True

    def close(self) -> None:
        """Stop, and wait for the capture thread, which releases the device."""
        self.stop()
        if self._thread.is_alive():
            self._thread.join(JOIN_S)
        else:
            self._images.close()

    def _capture(self) -> None:
        began_at: float | None = None
        try:
            for index, image in enumerate(self._images, self._first_index):
                now = time.monotonic()
                began_at = now if began_at is None else began_at
                self._note(image, now)
                self._put(Frame(image, index, now, time.time(), self.name, now - began_at))
                if self._stopped:
                    break
        except Exception as error:  # whatever it is, it belongs to the consumer, not to this thread
            self._error = error
        finally:
            self._images.close()
            self.link.change("ended")
            with self._lock:
                self._ended = True
            self._bell.set()

    def _note(self, image: NDArray[np.uint8], now: float) -> None:
        link = self.link
        link.newest_at, link.size = now, (image.shape[1], image.shape[0])
        with self._lock:  # pictures that cannot be decoded are counted by another thread
            link.arrived += 1
        if link.status == "waiting":
            link.change("open")

    def _put(self, frame: Frame) -> None:
        with self._lock:
            if self._newest is not None:
                self.dropped += 1
            self._newest = frame
            # The last interval again; it is unknown before the second frame.
            self._due_at = 2 * frame.captured_at - self._captured_at if self._captured_at else 0.0
            self._captured_at = frame.captured_at
            self._lock.notify()
        self._bell.set()
