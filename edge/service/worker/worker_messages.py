"""Messages between a model's child process and its parent.

The parent sends a `LoadRequest`, then for each frame its shape; the image is in the shared memory. The child
sends a `LoadedModel`, then for each frame an `Answer`, or an `EdgeloopError` in place of either; before it
any number of `LogLine`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgeloop.models.detections import Detections

if TYPE_CHECKING:
    from edgeloop.edge.engines.placement import Placement, ThreadCount
    from edgeloop.models.bundle.frame_statistics import FrameStatistics
    from edgeloop.models.facts.overrides import SpecOverrides
    from edgeloop.models.spec import ModelSpec

__all__ = ["Answer", "LoadRequest", "LoadedModel", "LogLine"]


@dataclass(frozen=True, slots=True)
class LoadRequest:
    """Model to load, with the settings of `Detector`."""

    file: Path
    provider: str
    allow_cpu: bool
    threads: int | None
    confidence: float | None
    overrides: SpecOverrides | None = None


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """Facts of the model that was loaded.

    Attributes:
        digest: SHA-256 of the file, or of its facts if it has some, hexadecimal.
        spec: Settings of the model.
        placement: Execution provider, and the share of the model that runs on it.
        threads: CPU threads of one inference, with the reason.
        frames: Statistics of its training frames; None if they are unknown.
    """

    digest: str
    spec: ModelSpec
    placement: Placement
    threads: ThreadCount
    frames: FrameStatistics | None


@dataclass(frozen=True, slots=True)
class Answer:
    """Detections in pixels of the frame, and the milliseconds of each step."""

    detections: Detections
    steps_ms: dict[str, float]


@dataclass(frozen=True, slots=True)
class LogLine:
    """Line for the log of the parent."""

    level: int
    text: str
