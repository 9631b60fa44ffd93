"""Entry of a ring: a frame, what the device found in it, and why it was kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edgeloop.edge.frames.folder import FrameEntry
from edgeloop.models.detections import Detections

__all__ = ["RingEntry", "RingModel", "Share"]

Share = Literal["random", "ranked"]
"""Share of the budget that a frame was kept in: drawn at random, or for its doubt."""


@dataclass(frozen=True, slots=True)
class RingModel:
    """Model that answered on frames of a ring.

    Attributes:
        digest: SHA-256 of its file, hexadecimal.
        names: Class names by class number.
        threshold: Its lowest minimum confidence.
    """

    digest: str
    names: tuple[str, ...]
    threshold: float


@dataclass(frozen=True, slots=True, eq=False)
class RingEntry:
    """Frame that the ring keeps.

    Attributes:
        frame: Its line as of frames.jsonl; `source` is the name of the camera.
        share: Share that it belongs to.
        inclusion: Probability with which the frame drawn from its second was kept in the random share, in
            (0, 1]: a frame of that share stands for 1 / `inclusion` seconds of its source. Of footage without
            times, 30 frames are a second; of pictures, each. 1 in the ranked share.
        doubt: Doubt about the detections, in [0, 1].
        detections: Detections of the device, in pixels of the image; classes are those of `model`.
        model: Digest of the model that found them.
        size: Width and height of the image, px.
        bytes: Size of its file.
    """

    frame: FrameEntry
    share: Share
    inclusion: float
    doubt: float
    detections: Detections
    model: str
    size: tuple[int, int]
    bytes: int
