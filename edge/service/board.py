"""State of the service: one place that health, metrics, messages and the page read."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from edgeloop.edge.sources.live import LinkState, LiveSource

if TYPE_CHECKING:
    from edgeloop.edge.drift.drift_judge import DriftKind
    from edgeloop.edge.loop.stream import Stream

__all__ = ["Board", "CameraState", "ModelState", "ModelStatus"]

ModelStatus = Literal["starting", "ok", "restarting", "degraded"]
"""Starting for the first time; answering; started again after a failure; failing too often."""


@dataclass(slots=True, eq=False)
class ModelState:
    """State of one model, written by its worker, read by any thread.

    Attributes:
        name: Name in the configuration.
        status: State of its process.
        reason: What is wrong with it, in one line; "" if nothing is.
        digest: SHA-256 of the file, or of its facts if it has some, hexadecimal; "" before it is loaded.
        file: Name of the file; "" before it is loaded.
        provider: Short name of the execution provider; "" before it is loaded.
        provider_share: Share of the nodes that run there, 0 to 1; None if unknown.
        restarts: Number of restarts.
        errors: Number of frames without an answer by kind: "hang", "crash", "away" (while it is started),
            "non-finite", "absurd", "failed".
        answered_at: Monotonic clock in seconds of its last answer; None before the first.
        previous: SHA-256 of the model in the store that returns if this one fails; "" if there is none.
        candidate: SHA-256 of the model in the store that is in shadow; "" if there is none.
        probation_left_s: Seconds of probation left; None if it is not on probation.
        figures: Figures of the store by name: `rollbacks`, `shadow_frames`, `shadow_agreement`.
    """

    name: str
    status: ModelStatus = "starting"
    reason: str = ""
    digest: str = ""
    file: str = ""
    provider: str = ""
    provider_share: float | None = None
    restarts: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    answered_at: float | None = None
    previous: str = ""
    candidate: str = ""
    probation_left_s: float | None = None
    figures: dict[str, float] = field(default_factory=dict)

    def count_error(self, kind: str) -> None:
        """Count one frame without an answer."""
        self.errors = {**self.errors, kind: self.errors.get(kind, 0) + 1}  # others may be reading it


@dataclass(slots=True, eq=False)
class CameraState:
    """State of one camera, read by any thread.

    Attributes:
        name: Name in the configuration.
        model: Name of its model.
        stream: Its stream in the loop: source, meter, zones.
        reason: Last failure of one of its frames in one line; "" once a frame went through again.
        result_at: Monotonic clock in seconds when its newest result had been acted upon; None before it.
        captured_at: `captured_at` of the newest frame that went through; None before it.
        events: Number of events by kind.
        drift: Kind of what it shows: "ok", "blind", "moved" or "unfamiliar"; "" if its model does not know
            its training frames, or before the first look.
        drift_reason: What differs from the training frames; "" if nothing does.
    """

    name: str
    model: str
    stream: Stream
    reason: str = ""
    result_at: float | None = None
    captured_at: float | None = None
    events: dict[str, int] = field(default_factory=dict)
    drift: DriftKind | Literal[""] = ""
    drift_reason: str = ""

    @property
    def link(self) -> LinkState:
        """Connection to the camera; for footage one that is always open."""
        source = self.stream.source
        if isinstance(source, LiveSource):
            return source.link
        return LinkState("open", newest_at=self.captured_at, arrived=sum(self.fates.values()))

    @property
    def fates(self) -> Mapping[str, int]:
        """Number of frames by fate: every frame that arrived has one, but for those in hand.

        `processed` went through the model; `unchanged` were answered by the frame before, as nothing had
        changed; `failed` got no answer; `dropped` were replaced by a newer one; `stale` were too old;
        `unreadable` could not be decoded.
        """
        stream, source = self.stream, self.stream.source
        unchanged = stream.unchanged
        return {
            "processed": stream.meter.frames - unchanged,
            "unchanged": unchanged,
            "failed": stream.failed,
            "dropped": source.dropped,
            "stale": source.stale,
            "unreadable": source.skipped,
        }

    def age_s(self, now: float | None = None) -> float | None:
        """Seconds since its newest frame arrived; None before the first."""
        newest_at = self.link.newest_at
        return None if newest_at is None else (now or time.monotonic()) - newest_at


class Board:
    """State of all cameras and models.

    Attributes:
        name: Name of the device.
        started_at: Monotonic clock in seconds at the start of the service.
        supervised_at: Monotonic clock in seconds when the supervisor last looked at its loops.
        cameras: States by name of the camera, complete before any part starts.
        models: States by name of the model, complete before any part starts.
        parts: Figures of the parts of the service by name: {"mqtt": {"connected": 1, "spool": 3}}.
    """

    def __init__(self, name: str) -> None:
        """Start without cameras and models."""
        self.name = name
        self.started_at = self.supervised_at = time.monotonic()
        self.cameras: dict[str, CameraState] = {}
        self.models: dict[str, ModelState] = {}
        self.parts: dict[str, dict[str, float]] = {}
        self._lock = threading.RLock()  # a finalizer that runs within may set figures, too

    def set_figures(self, part: str, **figures: float) -> None:
        """Replace figures of a part of the service."""
        with self._lock:
            self.parts[part] = {**self.parts.get(part, {}), **figures}

    def figures(self) -> dict[str, dict[str, Any]]:
        """Copy the figures of all parts."""
        with self._lock:
            return {part: dict(figures) for part, figures in self.parts.items()}
