"""Events for open pages, sent as server-sent events (WHATWG HTML, 9.2)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from edgeloop.models.errors import UnavailableError

__all__ = ["Events"]

_KEEP_ALIVE_S = 15.0
_MAX_PAGES = 50
_MAX_WAITING = 1000  # events; a page that falls further behind is told to load its state again


class Events:
    """Sends events to every open page; threads may send."""

    def __init__(self) -> None:
        """Start without pages."""
        self._queues: set[asyncio.Queue[str | None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._latest: dict[str, str] = {}

    def send(self, kind: str, data: dict[str, Any], *, sticky: bool = False) -> None:
        """Send an event to every open page.

        Args:
            kind: Name of the event, such as "boxes".
            data: JSON object.
            sticky: Also send it to pages that open later, until the next of its kind.
        """
        text = f"event: {kind}\ndata: {json.dumps(data)}\n\n"
        if sticky:
            self._latest[kind] = text
        if self._loop is not None:
            with suppress(RuntimeError):  # the server has ended
                self._loop.call_soon_threadsafe(self._put, text)

    def _put(self, text: str | None) -> None:
        for queue in self._queues:
            if queue.qsize() >= _MAX_WAITING:
                while not queue.empty():
                    queue.get_nowait()
                queue.put_nowait("event: reload\ndata: {}\n\n")
            queue.put_nowait(text)

    @property
    def watched(self) -> bool:
        """True if a page is open."""
        return bool(self._queues)

    def check_room(self) -> None:
        """Refuse one more page than can be served.

        Raises:
            UnavailableError: Too many pages are open.
        """
        if len(self._queues) >= _MAX_PAGES:
            raise UnavailableError(f"{_MAX_PAGES} pages are open; close some")

    async def stream(self) -> AsyncIterator[str]:
        """Events as text of the wire, from now on, until `close`."""
        self._loop = asyncio.get_running_loop()
        queue: asyncio.Queue[str | None] = asyncio.Queue()
        self._queues.add(queue)
        try:
            yield "retry: 1000\n\n"
            for text in tuple(self._latest.values()):
                yield text
            while True:
                try:
                    async with asyncio.timeout(_KEEP_ALIVE_S):
                        following = await queue.get()
                except TimeoutError:
                    yield ": still here\n\n"
                    continue
                if following is None:
                    return
                yield following
        finally:
            self._queues.discard(queue)

    def close(self) -> None:
        """End all streams, from the thread of the event loop."""
        self._put(None)
