"""Sources of frames: cameras, streams, videos, image folders, built-in scenes, iterables of images."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.frame import Frame, Source
from edgeloop.edge.plugins import call_plugin, load_plugin
from edgeloop.edge.source_name import CAMERA, STDIN, hide_secrets, is_address, is_pipeline, shown_name
from edgeloop.edge.sources.capture import SCHEMES, camera_name, open_address, open_camera, open_gstreamer
from edgeloop.edge.sources.footage import Footage
from edgeloop.edge.sources.images import PICTURE_SUFFIXES, ImageFiles, open_folder, open_glob
from edgeloop.edge.sources.iterable import ImageIterable
from edgeloop.edge.sources.live import LivePolicy, LiveSource
from edgeloop.edge.sources.piped import open_stdin
from edgeloop.edge.sources.recording import open_video
from edgeloop.models.errors import DataError, EdgeloopError, NoInputError, UnavailableError, UsageError

__all__ = ["LivePolicy", "as_source", "open_source", "open_source_or_unavailable"]


def as_source(source: str | Path | Source | Iterable[NDArray[np.uint8] | Frame]) -> Source:
    """Make a source of an address, a path or an iterable.

    Args:
        source: Text as for `open_source`, a path, a `Source` (returned as it is), or any iterable of images
            (HxWx3 uint8, BGR) or of `Frame`s.

    Returns:
        The source.

    Raises:
        UsageError: It is a single image, or lacks attributes of a `Source`.
        EdgeloopError: As `open_source`.
    """
    if isinstance(source, str | Path):
        return open_source(str(source))
    if isinstance(source, np.ndarray) and source.ndim < 4:
        raise UsageError("expected a source of images, got a single image; `Detector.detect` takes one")
    if isinstance(source, Source):
        return source
    if hasattr(source, "stop") and hasattr(source, "__iter__"):
        expected = (*Source.__annotations__, "close", "__enter__", "__exit__")
        missing = ", ".join(name for name in expected if not hasattr(source, name))
        raise UsageError(
            f"source of the type {type(source).__name__}: expected the attributes of a `Source`, "
            f"got none of the name {missing}; subclass `edgeloop.Source`"
        )
    return ImageIterable(source)


def open_source(text: str, policy: LivePolicy | None = None) -> Source:
    """Open a source of frames.

    Args:
        text: One of `0`, `/dev/video0` or `/dev/v4l/by-id/...` (a camera, with options such as
            `?width=1280&height=720&fps=30&fourcc=MJPG`); a video or image file; a folder of images, or a glob
            that matches some; an address (http, https, rtsp, rtsps, rtmp, rtmps, srt, tcp, udp); `-` (the
            standard input); a GStreamer pipeline (`v4l2src ! videoconvert ! appsink`);
            `synth:NAME?seed=1&fps=30&start=0&frames=300&size=640x480` (a built-in scene, live if `fps` is
            given); or SCHEME://... of an installed plug-in (`Source` says how to write one).
        policy: How to treat late frames and lost connections of a live source; None for the defaults.

    Returns:
        The open source, to be used as a context manager.

    Raises:
        NoInputError: The file or folder is not there, or holds no image.
        DataError: The file cannot be decoded.
        UnavailableError: The camera or stream does not answer, or a plug-in cannot be imported.
        UsageError: An address, scene or option that does not exist.
    """
    policy = policy or LivePolicy()
    if CAMERA.fullmatch(text):
        return open_camera(text, policy)
    if piped := STDIN.fullmatch(text):
        return open_stdin(piped["query"] or "")
    if is_pipeline(text):
        return open_gstreamer(text, policy)
    if text.startswith("synth:"):
        from edgeloop.edge.sources.synth import open_synth  # loads the scenes, which nothing else needs

        return open_synth(text, policy)
    if is_address(text):
        scheme = text.partition("://")[0].lower()
        factory = None if scheme in SCHEMES else load_plugin("edgeloop.sources", scheme)
        if factory is None:
            return open_address(text, policy)
        opened: Source = call_plugin(scheme, factory, text, policy)
        if isinstance(opened, LiveSource):
            opened.name = hide_secrets(opened.name, [text])
        return opened if hide_secrets(opened.name, [text]) == opened.name else _Renamed(opened, text)
    return _open_path(text)


def open_source_or_unavailable(text: str, policy: LivePolicy | None = None) -> Source:
    """Open one of several sources like `open_source`; if it cannot be opened, it fails when it is read."""
    try:
        return open_source(text, policy)
    except (DataError, UnavailableError) as error:
        return ImageIterable(_fail(error), camera_name(text) or shown_name(text))


class _Renamed(Footage):
    """Source of a plug-in that has its address for a name, under one without secrets."""

    def __init__(self, source: Source, address: str) -> None:
        self._source = source
        self._address = address
        self.name = hide_secrets(source.name, [address])
        self.live, self.fps, self.length = source.live, source.fps, source.length

    def __iter__(self) -> Iterator[Frame]:
        source = self._source
        for frame in source:
            self.dropped, self.skipped, self.stale = source.dropped, source.skipped, source.stale
            own = frame.source == source.name
            shown = self.name if own else hide_secrets(frame.source, [self._address])
            yield replace(frame, source=shown)

    def stop(self) -> None:
        self._source.stop()

    def close(self) -> None:
        self._source.close()


def _fail(error: EdgeloopError) -> Iterator[Frame]:
    raise error
    yield


def _open_path(text: str) -> Source:
    path = Path(text)
    if os.path.isdir(text):  # noqa: PTH112  Path.is_dir raises if the name is too long
        return open_folder(path)
    if os.path.isfile(text):  # noqa: PTH113  the same
        return ImageFiles(text, [path]) if path.suffix.lower() in PICTURE_SUFFIXES else open_video(path)
    if re.search(r"[*?\[]", text) and "\0" not in text:
        return open_glob(text)
    raise NoInputError(
        f"source {shown_name(text)}: no such file or folder "
        "(a camera is a number, a scene is synth:NAME, an address starts with rtsp:// or http://)"
    )
