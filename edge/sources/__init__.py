"""Where frames come from: `open_source` takes what people already type."""

from __future__ import annotations

import re
from pathlib import Path

from edgeloop.edge.sources.absent import AbsentSource
from edgeloop.edge.sources.capture import masked, open_address, open_camera
from edgeloop.edge.sources.images import ImageFiles, is_image, open_folder, open_glob
from edgeloop.edge.sources.kind import CAMERA
from edgeloop.edge.sources.live import LivePolicy
from edgeloop.edge.sources.recording import open_video
from edgeloop.edge.sources.source import Source
from edgeloop.models.errors import NoInputError, UnavailableError

__all__ = ["LivePolicy", "Source", "open_source", "open_source_or_absent"]


def open_source(text: str, policy: LivePolicy | None = None) -> Source:
    """Open a source of frames.

    Args:
        text: One of `0` or `/dev/video0` (a camera); a video or image file; a folder of images, or a glob
            that matches some; an rtsp://, rtsps://, http:// or https:// address;
            `synth:NAME?seed=1&fps=30&start=0&frames=300&size=640x480` (a built-in scene, live exactly where
            `fps` is given).
        policy: What to make of late frames and lost connections, where the source is live; None for the
            defaults.

    Returns:
        The open source, to be used as a context manager.

    Raises:
        NoInputError: The file or folder is not there, or holds no image.
        DataError: The file cannot be decoded.
        UnavailableError: The camera or stream does not answer.
        UsageError: An address, scene or option that does not exist.
    """
    policy = policy or LivePolicy()
    if camera := CAMERA.fullmatch(text):
        return open_camera(int(camera[1]), policy)
    if text.startswith("synth:"):
        from edgeloop.edge.sources.synth import open_synth  # brings the scenes, which nothing else needs

        return open_synth(text, policy)
    if "://" in text:
        return open_address(text, policy)
    return _open_path(text)


def open_source_or_absent(text: str, policy: LivePolicy | None = None) -> Source:
    """Open a source of frames that others must not wait for.

    Args:
        text: As for `open_source`.
        policy: As for `open_source`.

    Returns:
        The open source, or one that fails at its first frame where the camera or stream does not answer.

    Raises:
        NoInputError: The file or folder is not there, or holds no image.
        DataError: The file cannot be decoded.
        UsageError: An address, scene or option that does not exist.
    """
    try:
        return open_source(text, policy)
    except UnavailableError as error:
        camera = CAMERA.fullmatch(text)
        return AbsentSource(f"camera {int(camera[1])}" if camera else masked(text), error)


def _open_path(text: str) -> Source:
    path = Path(text)
    if path.is_dir():
        return open_folder(path)
    if path.is_file():
        return ImageFiles(text, [path]) if is_image(path) else open_video(path)
    if re.search(r"[*?\[]", text):
        return open_glob(text)
    raise NoInputError(f"source {text}: no such file or folder (a camera is a number, a scene is synth:NAME)")
