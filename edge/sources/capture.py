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
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from urllib.parse import urldefrag, urlsplit

import cv2

from edgeloop.edge.frame import Source
from edgeloop.edge.host.opencv import has_gstreamer, next_image, open_capture, open_pipeline
from edgeloop.edge.source_name import CAMERA, shown_name
from edgeloop.edge.sources.live import LivePolicy, LiveSource
from edgeloop.edge.sources.packets.packet_ring import PacketRing
from edgeloop.edge.sources.query import RATE, SIZE, Known, read_options
from edgeloop.edge.sources.reconnect import LISTEN_S, Connection, Images, open_live
from edgeloop.edge.sources.recording import Recording, frame_count, nominal_fps
from edgeloop.models.errors import UnavailableError, UsageError

__all__ = ["SCHEMES", "camera_name", "open_address", "open_camera", "open_gstreamer"]

TIMEOUT_S = 10.0
"""Longest wait in seconds for a stream to open, and then for each frame."""

PROBE_S = 1.0
"""Longest wait in seconds for the host of a lost stream to answer: FFmpeg would wait for one that is away,
and not notice for seconds that it is back."""

SETTLE_S = 0.5
"""Seconds to wait before testing whether a server still answers: a dying one closes its port last."""

_SERVED = {"http": 80, "https": 443, "rtsp": 554, "rtsps": 322, "rtmp": 1935, "rtmps": 443}
"""Schemes of a server, each with its default port."""

_RECEIVED = frozenset({"srt", "tcp", "udp"})
"""Schemes of which this machine may be the server, so that an address needs no host."""

SCHEMES = (*_SERVED, *sorted(_RECEIVED))
"""Supported schemes."""

log = logging.getLogger(__name__)


def camera_name(text: str) -> str | None:
    """Name a camera of this machine; None if the text is none."""
    camera = CAMERA.fullmatch(text)
    return camera and f"camera {camera['path'] or int(camera['index'])}"


def open_camera(text: str, policy: LivePolicy) -> LiveSource:
    """Open a camera of this machine.

    Args:
        text: As `CAMERA` matches it: 0 for the first one, a path for one that keeps its name wherever it is
            plugged in. Options (width, height, fps, fourcc) ask for a mode; the nearest one is used.
        policy: How to treat late frames, and a camera that is not there.

    Returns:
        A live source.

    Raises:
        UsageError: An option is unknown or out of range.
        UnavailableError: There is no such camera, or another program holds it.
    """
    camera, name = CAMERA.fullmatch(text), camera_name(text)
    if camera is None or name is None:
        raise UsageError(f"source {text}: not a camera")
    asked = read_options(text, camera["query"] or "", _OPTIONS)
    return open_live(name, partial(_connect_camera, name, camera["index"], camera["path"], asked), policy)


def open_address(address: str, policy: LivePolicy) -> Source:
    """Open a network stream, or a recording on a server.

    Args:
        address: SCHEME://... of `SCHEMES`, with user and password if the server asks for them, and perhaps
            #name=NAME to be shown by.
        policy: How to treat late frames, and a stream that is not there.

    Returns:
        A live source; a recording if the server states its length.

    Raises:
        UsageError: The address is malformed, or its scheme is not supported.
        UnavailableError: Nobody answers, or the answer is no video.
    """
    name = shown_name(address)
    _check_address(address)
    address = urldefrag(address).url  # FFmpeg would ask the server for it
    recording: list[Recording] = []
    source: LiveSource
    ring = PacketRing(policy.packets_s) if policy.packets_s else None
    read_s = LISTEN_S if policy.reconnect_s else TIMEOUT_S

    def connect() -> Connection:
        if policy.reconnect_s and (silence := _silence(address, PROBE_S)):
            raise UnavailableError(f"stream {name}: cannot be opened: {silence}")
        if policy.connect_stream is not None:
            count = lambda: source.count_unreadable()  # noqa: E731  there is no source yet
            connection = policy.connect_stream(
                name,
                address,
                read_s=read_s,
                ring=ring,
                on_unreadable=count,
                silence=partial(_silence, address),
            )
            if connection is not None:
                return connection
        capture = _capture_address(name, address, read_s)
        if frame_count(capture) is not None:
            recording.append(Recording(name, capture, remote=True))
        return Connection(_stream_images(name, address, capture, read_s), nominal_fps(capture))

    source = open_live(name, connect, policy)
    source.packets = ring
    if recording:
        source.close()
        return recording[0]
    return source


def open_gstreamer(pipeline: str, policy: LivePolicy) -> LiveSource:
    """Open a GStreamer pipeline.

    Args:
        pipeline: Elements joined by "!", the last one an appsink.
        policy: How to treat late frames, and a pipeline that breaks off.

    Returns:
        A live source.

    Raises:
        UnavailableError: This OpenCV has no GStreamer, or the pipeline does not start.
    """
    name = shown_name(pipeline)
    if not has_gstreamer():
        raise UnavailableError(
            f"source {name}: this OpenCV has no GStreamer (that of PyPI has none); "
            "use one that has, such as Debian's python3-opencv, or name the camera or address"
        )

    def connect() -> Connection:
        capture = open_pipeline(pipeline)
        if capture is None:
            raise UnavailableError(f"source {name}: the pipeline does not start; try it with gst-launch-1.0")
        return Connection(_camera_images(name, capture), nominal_fps(capture))

    return open_live(name, connect, policy)


def _connect_camera(name: str, index: str | None, path: str | None, asked: Mapping[str, float]) -> Connection:
    # A path is looked up each time: the camera may have another number when it is plugged in again.
    device = CAMERA.fullmatch(str(Path(path).resolve())) if path else None
    number = device["index"] if device else index
    settings = {code: asked[option] for option, code in _PROPERTIES.items() if option in asked}
    capture = None if number is None else open_capture(int(number), timeout_s=TIMEOUT_S, settings=settings)
    if capture is None:
        raise UnavailableError(
            f"{name}: cannot be opened (not connected, in use, or no permission); "
            "`edgeloop doctor` lists what is there"
        )
    size = {"width": capture.get(cv2.CAP_PROP_FRAME_WIDTH), "height": capture.get(cv2.CAP_PROP_FRAME_HEIGHT)}
    if any(asked.get(side, pixels) != pixels for side, pixels in size.items()):
        given = "x".join(f"{pixels:g}" for pixels in size.values())
        log.warning("%s: gives %s, the nearest to what was asked for", name, given)
    return Connection(_camera_images(name, capture), nominal_fps(capture))


def _capture_address(name: str, address: str, read_s: float) -> cv2.VideoCapture:
    capture = open_capture(address, timeout_s=TIMEOUT_S, read_s=read_s)
    if capture is None:
        reason = _silence(address)
        if reason is None and urlsplit(address).scheme in _RECEIVED:
            reason = "no video arrives, or this OpenCV's FFmpeg does not speak this protocol"
        reason = reason or "the server answers, but not with a video (path, user and password right?)"
        raise UnavailableError(f"stream {name}: cannot be opened: {reason}")
    return capture


def _camera_images(name: str, capture: cv2.VideoCapture) -> Images:
    try:
        while True:
            image = next_image(capture)
            if image is None:
                raise UnavailableError(f"{name}: delivers no frames any more (unplugged, or a full USB bus?)")
            yield image
    finally:
        capture.release()


def _stream_images(name: str, address: str, capture: cv2.VideoCapture, read_s: float) -> Images:
    try:
        count = 0
        asked_at = time.monotonic()
        while (image := next_image(capture)) is not None:
            yield image
            count += 1
            asked_at = time.monotonic()
        # FFmpeg looks at its clock only now and then, so a time limit can come a little early.
        if time.monotonic() - asked_at >= 0.9 * read_s:
            raise UnavailableError(f"stream {name}: no frame for {read_s:.0f} s; the connection is lost")
        time.sleep(SETTLE_S)
        if silence := _silence(address):
            raise UnavailableError(f"stream {name}: broke off after {count} frames: {silence}")
        if count == 0:
            raise UnavailableError(f"stream {name}: opens, but delivers no frame")
    finally:
        capture.release()


def _silence(address: str, timeout_s: float | None = None) -> str | None:
    """Reason for which an address does not answer; None if it does."""
    parts = urlsplit(address)
    host, port = parts.hostname or "", parts.port or _SERVED.get(parts.scheme)
    if port is None or parts.scheme in ("srt", "udp"):  # these do not speak TCP
        return None
    try:
        socket.create_connection((host, port), timeout=timeout_s or TIMEOUT_S).close()
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
        address.encode()  # OpenCV crashes on what is not UTF-8
        if "@" in f"{parts.path}{parts.query}{parts.fragment}" or re.search(r"[\x00-\x20\x7f]", address):
            raise ValueError
        if not re.fullmatch(r"[^#]*(?:#name=[\w.-]{1,40})?", address):  # FFmpeg never sees a fragment
            raise ValueError
    except ValueError:  # its text may quote the password, and a traceback would show it
        raise UsageError(
            f"source {name}: not an address (malformed host or port; "
            "percent-encode / ? # @ and spaces in user, password and tokens)"
        ) from None
    if parts.scheme not in SCHEMES or not (parts.hostname or parts.scheme in _RECEIVED):
        raise UsageError(f"source {name}: not an address; expected {', '.join(SCHEMES)}://host[:port]/path")


def _fourcc(value: str) -> float:
    if not re.fullmatch(r"[A-Za-z0-9 ]{4}", value):
        raise ValueError(value)
    return float(cv2.VideoWriter.fourcc(*value))


_OPTIONS: Known = {
    **SIZE,
    **RATE,
    "fourcc": (_fourcc, "four letters such as MJPG"),
}
# In the order in which V4L2 wants them: the pixel format decides about sizes, and these about rates.
_PROPERTIES = {
    "fourcc": cv2.CAP_PROP_FOURCC,
    "width": cv2.CAP_PROP_FRAME_WIDTH,
    "height": cv2.CAP_PROP_FRAME_HEIGHT,
    "fps": cv2.CAP_PROP_FPS,
}
