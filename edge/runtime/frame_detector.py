"""Protocol of what the loop detects with: a `Detector` in this process, or one in a process of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from edgeloop.models.detections import Detections
from edgeloop.models.errors import DataError

if TYPE_CHECKING:
    from edgeloop.edge.engines.placement import Placement, ThreadCount
    from edgeloop.models.spec import ModelSpec

__all__ = ["FrameDetector", "check_image"]


class FrameDetector(Protocol):
    """Detector of the loop; the attributes are those of `edgeloop.edge.runtime.detector.Detector`."""

    @property
    def path(self) -> Path:
        """Path of the model file."""
        ...

    @property
    def spec(self) -> ModelSpec:
        """Settings of the model."""
        ...

    @property
    def names(self) -> Sequence[str]:
        """Class names by class number."""
        ...

    @property
    def provider(self) -> str:
        """Short name of the execution provider that runs the model."""
        ...

    @property
    def placement(self) -> Placement:
        """Execution provider, and the share of the model that runs on it."""
        ...

    @property
    def threads(self) -> ThreadCount:
        """CPU threads of one inference, with the reason."""
        ...

    @property
    def parallel(self) -> int:
        """Number of images to detect at a time."""
        ...

    def detect_timed(self, image: NDArray[np.uint8]) -> tuple[Detections, dict[str, float]]:
        """Find the objects in an image (HxWx3 uint8 BGR), and time the three steps in milliseconds."""
        ...


def check_image(image: NDArray[np.uint8]) -> None:
    """Raise DataError unless the image is HxWx3 uint8."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise DataError(f"expected an image (H, W, 3) uint8, got {image.shape} {image.dtype}")
