"""Checks of a camera: it gives frames, and its zones and ignore mask fit them."""

from __future__ import annotations

import time
from collections.abc import Sequence

from edgeloop.edge.service.service_config import CameraConfig
from edgeloop.edge.sources import LivePolicy, open_source
from edgeloop.edge.sources.packets.stream_reader import connect_stream
from edgeloop.edge.tracking import IgnoreMask, read_zones
from edgeloop.edge.tracking.zone_file import check_places
from edgeloop.models.detections import Detections
from edgeloop.models.errors import DataError, UnavailableError

__all__ = ["Size", "check_camera", "check_places_of"]

Size = tuple[int, int]
"""Width and height of a frame in pixels."""

WATCHED_S = 1.0
"""Seconds for which frames are counted."""


def check_camera(config: CameraConfig) -> tuple[str, Size]:
    """Open a camera as the service does, and look at its frames.

    Returns:
        Size and rate as text, and the size.

    Raises:
        EdgeloopError: It cannot be opened, or gives no frame.
    """
    policy = LivePolicy(max_age_s=60.0, silent_s=config.silent_s, connect_stream=connect_stream)
    with open_source(config.source, policy) as source:
        first_at, count, size = 0.0, 0, None
        for frame in source:
            if size is None:
                first_at, size = frame.captured_at, (frame.image.shape[1], frame.image.shape[0])
            count += 1
            if not source.live or time.monotonic() - first_at > WATCHED_S:
                break
        if size is None:
            raise UnavailableError(f"source {source.name}: opens, but gives no frame")
        seconds = time.monotonic() - first_at
        rate = (count - 1) / seconds if source.live and count > 1 else source.fps
        shown = f"{source.name}, {size[0]}x{size[1]}"
        source.stop()
    return (shown if rate is None else f"{shown}, {rate:.1f} frames per second"), size


def check_places_of(config: CameraConfig, names: Sequence[str], size: Size | None) -> str:
    """Check that classes, zones and ignore mask of a camera fit its model and its frames.

    Args:
        config: The camera.
        names: Class names of its model.
        size: Size of its frames; None if it gave none, and only the classes are checked.

    Raises:
        EdgeloopError: One of them does not fit.
    """
    unknown = sorted(set(config.classes or ()) - set(names))
    if unknown:
        raise DataError(f"classes: the model has no class {unknown[0]!r}; it has {', '.join(names)}")
    checked = ["classes"]
    if config.zones is not None:
        zones = read_zones(config.zones, names)
        if size is not None:
            check_places(f"zones {config.zones}", zones, size)
        checked.append("zones")
    if config.ignore is not None:
        ignore = IgnoreMask(config.ignore, names)
        if size is not None:
            ignore.drop(Detections.empty(), size)
        checked.append("ignore mask")
    return f"{', '.join(checked)} fit" + ("" if size else " the model; the frames are not known")
