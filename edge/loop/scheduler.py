"""Round-robin scheduling of several sources: one frame at a time, and no source starves.

Of the sources that have a new frame, the one that was served longest ago is served next. A live source gives
its newest frame at that moment; any other source is read by a thread, which fetches the next frame while the
one before it is worked on, and loses none.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Generator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import ExitStack
from dataclasses import dataclass

from edgeloop.edge.frame import Frame, Source
from edgeloop.edge.sources.iterable import ImageIterable
from edgeloop.edge.sources.live import JOIN_S, WAKE_S, LiveSource

__all__ = ["SourceEnded", "round_robin"]

_PATIENCE = 0.03
"""Share of the last frame's processing time for which to wait for a newer one; the rate loses no more."""


@dataclass(frozen=True, slots=True)
class SourceEnded:
    """End of one source; `error` is the failure that ended it, None at its regular end."""

    error: Exception | None = None


def round_robin(
    sources: Sequence[Source],
    *,
    max_frames: int | None = None,
    duration_s: float | None = None,
    ended: AbstractSet[int] = frozenset(),
) -> Generator[tuple[int, Frame | SourceEnded], None, None]:
    """Take frames from sources in turn.

    Args:
        sources: The sources; told to stop when the generator is closed.
        max_frames: Number of frames of each source after which it ends; None for no limit.
        duration_s: Time in seconds after which to take no further frame; None for no limit.
        ended: Positions of sources to take no further frame from. The caller may add to it at any time.

    Yields:
        The position of a source in `sources`, with its next frame or, once, with its end. Sources that have
        not ended when the time is up yield no end.
    """
    ends_at = math.inf if duration_s is None else time.monotonic() + duration_s
    bell = threading.Event()
    feeds = [source if isinstance(source, LiveSource) else _AheadFeed(source) for source in sources]
    taken = [0] * len(feeds)
    patience_s = 0.0
    line = list(range(len(feeds)))
    try:
        for feed in feeds:
            feed.start(bell)
        while True:
            for number in ended & set(line):
                line.remove(number)
                feeds[number].stop()
            served = _next(line, feeds, bell, patience_s, ends_at)
            if served is None:
                return
            number, arrival = served
            line.remove(number)
            if isinstance(arrival, Frame):
                line.append(number)
                taken[number] += 1
            yielded_at = time.monotonic()
            yield number, arrival
            patience_s = _PATIENCE * (time.monotonic() - yielded_at)
            if taken[number] == max_frames and number in line:
                line.remove(number)
                feeds[number].stop()
                yield number, SourceEnded()
    finally:
        with ExitStack() as at_end:  # one that fails keeps no other from its end
            for feed in feeds:
                if isinstance(feed, _AheadFeed):
                    at_end.callback(feed.join)
            for feed in feeds:
                at_end.callback(feed.stop)


def _next(
    line: Sequence[int],
    feeds: Sequence[LiveSource | _AheadFeed],
    bell: threading.Event,
    patience_s: float,
    ends_at: float,
) -> tuple[int, Frame | SourceEnded] | None:
    """Wait for the first source in line that has a frame or an end. None if the line or the time ends."""
    while line and time.monotonic() < ends_at:
        for number in line:
            feed = feeds[number]
            try:
                frame = feed.take(patience_s)
            except Exception as error:  # whatever it is, it ends this source and no other
                return number, SourceEnded(error)
            if frame is not None:
                return number, frame
            if feed.over:
                return number, SourceEnded()
        bell.wait(WAKE_S)  # with a limit: a signal handler that stops a source must not ring
        bell.clear()
    return None


class _AheadFeed:
    """Reads every frame in order in a thread, each once the one before it was taken.

    To the scheduler it is like a `LiveSource`: it rings a bell, and is asked for frames without waiting.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._frame: Frame | None = None
        self._error: Exception | None = None
        self._ended = self._closed = False
        self._taken = threading.Event()
        self._thread = threading.Thread(target=self._read, name=f"read {source.name}", daemon=True)

    def start(self, bell: threading.Event) -> None:
        self._bell = bell
        self._thread.start()

    def take(self, _patience_s: float) -> Frame | None:
        frame, self._frame = self._frame, None
        if frame is not None:
            self._taken.set()
        elif self._ended and self._error is not None:
            raise self._error
        return frame

    @property
    def over(self) -> bool:
        return self._ended and self._frame is None and self._error is None

    def stop(self) -> None:
        self._closed = True
        self._taken.set()
        self._source.stop()

    def join(self) -> None:
        if self._thread.is_alive():
            # An iterable may block for ever and holds nothing of ours; no other source may be closed while it
            # is read.
            self._thread.join(JOIN_S if isinstance(self._source, ImageIterable) else None)

    def _read(self) -> None:
        try:
            for frame in self._source:
                self._frame = frame
                self._bell.set()
                self._taken.wait()
                self._taken.clear()
                if self._closed:
                    break
        except Exception as error:  # it belongs to the consumer, not to this thread
            self._error = error
        finally:
            self._ended = True
            self._bell.set()
