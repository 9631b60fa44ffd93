"""The result of one frame, and the protocol of the sinks that results go to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from edgeloop.edge.frame import Frame
from edgeloop.models.detections import Detections

if TYPE_CHECKING:
    from edgeloop.edge.tracking import Event

__all__ = ["Result", "Sink", "Timings"]


@dataclass(frozen=True, slots=True)
class Timings:
    """Time spent on one frame, in milliseconds.

    Attributes:
        latency_ms: From the arrival of the frame to its detections; the sum of the stages.
        stages_ms: `wait` (for the model, and then for the frames before it), `compare` (if unchanged frames
            are skipped), `preprocess`, `infer` and `postprocess` (unless it was), and `track` (if objects are
            tracked).
    """

    latency_ms: float
    stages_ms: Mapping[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """Detections in one frame, and the time they took.

    Attributes:
        frame: The frame as it came from the source.
        detections: Boxes in pixels of `frame.image`.
        timings: From the arrival of the frame on.
        events: Events in zones and at lines; None without zones.
        unchanged: True if the detections are those of an earlier frame, as nothing had changed since.
    """

    frame: Frame
    detections: Detections
    timings: Timings
    events: tuple[Event, ...] | None = None
    unchanged: bool = False


class Sink(Protocol):
    """Consumer of results, in order.

    A plug-in offers a sink to `edgeloop run --sink NAME:ARGUMENT` as an entry point of the group
    `edgeloop.sinks`: a function `(argument: str, names: Sequence[str], source: Source) -> Sink`, which is
    called once per source with the text after the colon, the model's class names and the open source.
    """

    def write(self, result: Result) -> None:
        """Act on one result. An error ends the run of its source."""
        ...

    def close(self) -> None:
        """Finish. Called once, after the last result, also if the run fails."""
        ...
