"""Live sources: the newest frame wins, and every frame that loses is counted.

A camera does not wait. Whoever queues its frames behind a model that is slower than the camera looks further
and further into the past, so there is no queue here: the capture thread puts each frame into a slot of one,
and the consumer takes what lies there when it is ready, unless it has lain there for too long.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.frame import Frame, Source

__all__ = ["LivePolicy", "LiveSource"]

WAKE_S = 0.1
"""How often a waiting consumer looks whether it was told to stop (a signal handler must not take locks)."""

JOIN_S = 1.0
"""How long closing waits for the capture thread, which may hang in a driver until its own time limit."""


@dataclass(frozen=True, slots=True)
class LivePolicy:
    """What to make of a live source that is late or away.

    Attributes:
        max_age_s: Seconds after which a frame that still waits shows what was and not what is: it is not
            handed over but counted as stale.
        reconnect_s: Seconds after its last frame for which to go on opening a camera or stream that broke
            off; 0 to let it fail at once.
    """

    max_age_s: float = 1.0
    reconnect_s: float = 0.0


class LiveSource(Source):
    """A thread that captures, a slot of one frame, a count of what was dropped."""

    live = True
    length = None
    skipped = 0

    def __init__(
        self,
        name: str,
        images: Generator[NDArray[np.uint8], None, None],
        *,
        fps: float | None,
        first_index: int = 0,
        policy: LivePolicy | None = None,
    ) -> None:
        """Prepare to capture; the thread starts with the iteration, so nothing goes stale before it.

        Args:
            name: The source as a person would call it.
            images: HxWx3 uint8 BGR, each yielded when it arrives. It returns at the regular end of the
                stream, raises where the source fails, and is run and closed by the capture thread alone.
            fps: Nominal frames a second, None where nobody knows.
            first_index: Index of the first frame.
            policy: How old a frame may be; None for a second.
        """
        self.name = name
        self.fps = fps
        self._max_age_s = (policy or LivePolicy()).max_age_s
        self.dropped = self.stale = 0
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
        """Begin to capture, for whoever takes from several sources; who iterates over one need not call it.

        Args:
            bell: Set whenever there is a new frame, and at the end.
        """
        self._bell = bell
        self._thread.start()

    def take(self, patience_s: float = 0.0) -> Frame | None:
        """Take the newest frame.

        Args:
            patience_s: Seconds for which to wait for a newer one, where that is due about now: after a moment
                of patience a result is younger by a whole frame.

        Returns:
            None where the newest was taken already or is stale, at the end of the stream and after a stop.

        Raises:
            Exception: What ended the source, after its last frame.
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

    @property
    def over(self) -> bool:
        """Whether no frame waits and none will come."""
        with self._lock:
            return self._stopped or (self._ended and self._newest is None)

    def stop(self) -> None:
        self._stopped = True

    def close(self) -> None:
        self.stop()
        if self._thread.is_alive():
            self._thread.join(JOIN_S)

    def _capture(self) -> None:
        try:
            for index, image in enumerate(self._images, self._first_index):
                self._put(Frame(image, index, time.monotonic(), time.time(), self.name))
                if self._stopped:
                    break
        except Exception as error:  # whatever it is, it belongs to the consumer, not to this thread
            self._error = error
        finally:
            self._images.close()
            with self._lock:
                self._ended = True
            self._bell.set()

    def _put(self, frame: Frame) -> None:
        with self._lock:
            if self._newest is not None:
                self.dropped += 1
            self._newest = frame
            # As far from the last one as that was from the one before it; of the first two nothing is known.
            self._due_at = 2 * frame.captured_at - self._captured_at if self._captured_at else 0.0
            self._captured_at = frame.captured_at
            self._lock.notify()
        self._bell.set()
