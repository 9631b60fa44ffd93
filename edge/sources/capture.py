"""Cameras and network streams as sources: opening, reconnecting, and telling the end from a failure.

OpenCV reports every end as "no frame". A camera never ends, so no frame is a failure. A silent stream ran
into its time limit. A stream that stopped at once was ended by its server if that still answers, and is lost
otherwise.
"""

from __future__ import annotations

import logging
import re
import socket
import time
from collections.abc import Callable, Generator
from functools import partial
from urllib.parse import urldefrag, urlsplit

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.frame import Source
from edgeloop.edge.host.opencv import open_capture
from edgeloop.edge.source_name import shown_name
from edgeloop.edge.sources.live import LivePolicy, LiveSource
from edgeloop.edge.sources.recording import Recording, frame_count, nominal_fps
from edgeloop.models.errors import UnavailableError, UsageError

__all__ = ["open_address", "open_camera"]

TIMEOUT_S = 10.0
"""Longest wait in seconds for a stream to open, and then for each frame."""

SETTLE_S = 0.5
"""Seconds to wait before testing whether a server still answers: a dying one closes its port last."""

PORTS = {"http": 80, "https": 443, "rtsp": 554, "rtsps": 322}
"""Supported schemes, each with its default port."""

RETRY_S = 1.0
"""Seconds between two attempts to reconnect."""

Images = Generator[NDArray[np.uint8], None, None]

log = logging.getLogger(__name__)


def open_camera(index: int, policy: LivePolicy) -> LiveSource:
    """Open a camera of this machine.

    Args:
        index: 0 for the first one.
        policy: How to treat late frames, and a camera that is unplugged.

    Returns:
        A live source.

    Raises:
        UnavailableError: There is no such camera, or another program holds it.
    """
    name = f"camera {index}"
    capture = open_capture(index, timeout_s=TIMEOUT_S)
    if capture is None:
        raise UnavailableError(
            f"{name}: cannot be opened (not connected, in use, or no permission); "
            "`edgeloop doctor` lists what is there"
        )
    return _live(name, index, capture, partial(_camera_images, name), policy)


def open_address(address: str, policy: LivePolicy) -> Source:
    """Open a network stream, or a recording on a server.

    Args:
        address: rtsp://, rtsps://, http:// or https://, with user and password if the server asks for them.
        policy: How to treat late frames, and a stream that breaks off.

    Returns:
        A live source; a recording if the server states its length.

    Raises:
        UsageError: The address is malformed, or its scheme is not supported.
        UnavailableError: Nobody answers, or the answer is no video.
    """
    name = shown_name(address)
    _check_address(address)
    address = urldefrag(address).url  # FFmpeg would ask the server for it
    capture = open_capture(address, timeout_s=TIMEOUT_S)
    if capture is None:
        silence = _silence(address)
        reason = silence or "the server answers, but not with a video (path, user and password right?)"
        raise UnavailableError(f"stream {name}: cannot be opened: {reason}")
    if frame_count(capture) is not None:
        return Recording(name, capture, remote=True)
    return _live(name, address, capture, partial(_stream_images, name, address), policy)


def _live(
    name: str,
    place: int | str,
    capture: cv2.VideoCapture,
    images: Callable[[cv2.VideoCapture], Images],
    policy: LivePolicy,
) -> LiveSource:
    def reopen() -> Images | None:
        again = open_capture(place, timeout_s=TIMEOUT_S)
        return None if again is None else images(again)

    frames = images(capture)
    if policy.reconnect_s:
        frames = _reconnected(name, frames, reopen, policy.reconnect_s)
    return LiveSource(name, frames, fps=nominal_fps(capture), policy=policy)


def _reconnected(name: str, images: Images, reopen: Callable[[], Images | None], patience_s: float) -> Images:
    """Reconnect whenever the images end, until there was none for `patience_s` seconds."""
    came_at = time.monotonic()
    while True:
        lost: UnavailableError | None = None
        try:
            for image in images:
                came_at = time.monotonic()
                yield image
        except UnavailableError as error:
            lost = error
        finally:
            images.close()
        log.warning("%s; opening it again", lost or f"{name}: ended")
        opened = None
        while opened is None and time.monotonic() - came_at < patience_s:
            time.sleep(RETRY_S)
            opened = reopen()
        if opened is not None:
            images = opened
        elif lost is not None:
            raise UnavailableError(f"{lost}; not back within {patience_s:g} s")
        else:
            return


def _camera_images(name: str, capture: cv2.VideoCapture) -> Images:
    try:
        while True:
            read, image = capture.read()
            if not read:
                raise UnavailableError(f"{name}: delivers no frames any more (unplugged, or a full USB bus?)")
            yield image
    finally:
        capture.release()


def _stream_images(name: str, address: str, capture: cv2.VideoCapture) -> Images:
    try:
        count = 0
        asked_at = time.monotonic()
        while (picture := capture.read())[0]:
            yield picture[1]
            count += 1
            asked_at = time.monotonic()
        # FFmpeg looks at its clock only now and then, so a time limit can come a little early.
        if time.monotonic() - asked_at >= 0.9 * TIMEOUT_S:
            raise UnavailableError(f"stream {name}: no frame for {TIMEOUT_S:.0f} s; the connection is lost")
        time.sleep(SETTLE_S)
        if silence := _silence(address):
            raise UnavailableError(f"stream {name}: broke off after {count} frames: {silence}")
        if count == 0:
            raise UnavailableError(f"stream {name}: opens, but delivers no frame")
    finally:
        capture.release()


def _silence(address: str) -> str | None:
    """Reason for which an address does not answer; None if it does."""
    parts = urlsplit(address)
    host, port = parts.hostname or "", parts.port or PORTS[parts.scheme]
    try:
        socket.create_connection((host, port), timeout=TIMEOUT_S).close()
    except OSError as error:
        return f"nobody answers at {host}:{port} ({error.strerror or error})"
    return None


def _check_address(address: str) -> None:
    """Refuse an address of which nobody can tell where its password ends, and any other that is none."""
    name = shown_name(address)
    try:
        parts = urlsplit(address)
        parts.port  # noqa: B018  a port that is no number is found only when it is read
        (parts.hostname or "").encode("idna")  # as it will be looked up
        if "@" in f"{parts.path}{parts.query}{parts.fragment}" or re.search(r"[\x00-\x20\x7f]", address):
            raise ValueError
    except ValueError:  # its text may quote the password, and a traceback would show it
        raise UsageError(
            f"source {name}: not an address (malformed host or port; "
            "percent-encode / ? # @ and spaces in user, password and tokens)"
        ) from None
    if parts.scheme not in PORTS or not parts.hostname:
        raise UsageError(f"source {name}: not an address; expected {', '.join(PORTS)}://host[:port]/path")
