"""Live sources that wait for a camera or stream that is not there yet, and connect again when it is lost."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.sources.live import LivePolicy, LiveSource
from edgeloop.models.errors import UnavailableError

__all__ = ["Connection", "Images", "open_live"]

RETRY_S = 1.0
"""Seconds between two attempts to connect."""

Images = Generator[NDArray[np.uint8], None, None]

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
        connect: Opens the camera or stream, or raises UnavailableError.
        policy: How long to wait, and how to treat late frames.

    Returns:
        The source. Its rate is unknown if it is not there yet.

    Raises:
        UnavailableError: It is not there, and the policy is to fail at once.
    """
    first, missing = Connection(_nothing()), None
    try:
        first = connect()
    except UnavailableError as error:
        if not policy.reconnect_s:
            raise
        missing = error
    source: LiveSource
    frames = first.images
    if policy.reconnect_s:
        frames = _reconnected(name, frames, missing, connect, policy.reconnect_s, lambda: source.stopped)
    source = LiveSource(name, frames, fps=first.fps, policy=policy)
    return source


def _nothing() -> Images:
    yield from ()


def _reconnected(
    name: str,
    images: Images,
    lost: UnavailableError | None,
    connect: Callable[[], Connection],
    patience_s: float,
    stopped: Callable[[], bool],
) -> Images:
    """Reconnect whenever the images end, until there was none for `patience_s` seconds or it is stopped.

    Args:
        name: Name of the source.
        images: Images of the first connection.
        lost: Failure of the first connection; None if there was none.
        connect: Opens the next connection.
        patience_s: Time in seconds without an image after which to give up.
        stopped: Asked before each attempt; True to end.

    Yields:
        The images of all connections.
    """
    came_at, back = time.monotonic(), "there"
    while True:
        try:
            for image in images:
                came_at, back, lost = time.monotonic(), "back", None
                yield image
        except UnavailableError as error:
            lost = error
        finally:
            images.close()
        log.warning("%s; opening it again", lost or f"{name}: ended")
        again = None
        while again is None and time.monotonic() - came_at < patience_s and not stopped():
            time.sleep(RETRY_S)
            with suppress(UnavailableError):
                again = connect()
        if again is not None:
            images = again.images
        elif lost is None or stopped():
            return
        else:
            raise UnavailableError(f"{lost}; not {back} within {patience_s:g} s")
