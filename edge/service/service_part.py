"""Base of the parts of the service: what they get, and what they give to the loop."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgeloop.edge.result import Result, Sink
    from edgeloop.edge.service.board import CameraState
    from edgeloop.edge.tracking import Event
    from edgeloop.models.masks import Masks

__all__ = ["EventListener", "ServiceEvent", "ServicePart", "make_event"]

_COUNTER = itertools.count()
_RUN = secrets.token_hex(6)
"""Random: without a clock of its own, a device starts with the same time and process id at each boot."""


@dataclass(frozen=True, slots=True, eq=False)
class ServiceEvent:
    """Event in a zone or at a line of one camera.

    Attributes:
        id: Unique; sorts by time within one run of the service.
        camera: Name of the camera.
        kind: "enter", "leave", "dwell" or "cross".
        place: Name of the zone or line.
        class_name: Name of the class.
        tracker_id: Id of the object.
        wall_time: Unix time in seconds of the frame.
        captured_at: Monotonic clock in seconds when the frame arrived.
        dwell_s: Time inside in seconds; None unless kind is "leave" or "dwell".
        direction: "in" or "out"; None unless kind is "cross".
        confidence: Score of the object in the frame; None if it is not in it any more.
        xyxy: Its box in pixels of the frame; None if it is not in it any more.
        image: HxWx3 uint8 BGR, the frame; shared, so draw on a copy.
        masks: Its mask, one row; None without masks, or if it is not in the frame any more.
    """

    id: str
    camera: str
    kind: str
    place: str
    class_name: str
    tracker_id: int
    wall_time: float
    captured_at: float
    dwell_s: float | None
    direction: str | None
    confidence: float | None
    xyxy: tuple[float, float, float, float] | None
    image: NDArray[np.uint8] = field(repr=False)
    masks: Masks | None = field(default=None, repr=False)

    def as_dict(self) -> dict[str, Any]:
        """Build its JSON; null, the image and the mask are left out."""
        values = {
            "id": self.id,
            "camera": self.camera,
            "event": self.kind,
            "place": self.place,
            "class": self.class_name,
            "tracker_id": self.tracker_id,
            "wall_time": round(self.wall_time, 3),
            "dwell_s": self.dwell_s,
            "direction": self.direction,
            "confidence": self.confidence,
            "xyxy": self.xyxy,
        }
        return {key: value for key, value in values.items() if value is not None}


class EventListener(Protocol):
    """Consumer of events."""

    def __call__(self, event: ServiceEvent, /) -> None:
        """Take an event. Called in the thread of the loop: hand it over, and never wait."""
        ...


class ServicePart:
    """One part of the service: metrics, MQTT, webhooks, clips, the page. Overrides what it needs.

    Made with `(config: ServiceConfig, board: Board)`. The service asks for its sinks and listener before any
    camera runs, calls `start`, and at the end `close`, also if another part fails.
    """

    def sinks(self, camera: CameraState) -> Sequence[Sink]:  # noqa: ARG002
        """Make its sinks of one camera. `write` is called in the thread of the loop: it must never wait."""
        return ()

    def listener(self) -> EventListener | None:
        """Return its consumer of the events of all cameras; None for none."""
        return None

    def start(self) -> None:
        """Start its threads.

        Raises:
            EdgeloopError: It cannot start at all, such as on a port that is taken. What may be there later
                (a broker, a camera) is no error.
        """

    def close(self) -> None:
        """End its threads within about a second, and leave on disk what must not be lost."""


def make_event(camera: str, result: Result, event: Event, names: Sequence[str]) -> ServiceEvent:
    """Make the event of a camera from that of its zones."""
    found, row = result.detections, None
    if found.tracker_id is not None:
        rows = (found.tracker_id == event.tracker_id).nonzero()[0]
        row = int(rows[0]) if len(rows) else None
    x1, y1, x2, y2 = (0.0,) * 4 if row is None else (round(float(v), 1) for v in found.xyxy[row])
    return ServiceEvent(
        id=f"{_RUN}-{next(_COUNTER):08x}",
        camera=camera,
        kind=event.kind,
        place=event.place,
        class_name=names[event.class_id],
        tracker_id=event.tracker_id,
        wall_time=result.frame.wall_time,
        captured_at=result.frame.captured_at,
        dwell_s=event.dwell_s,
        direction=event.direction,
        confidence=None if row is None else round(float(found.confidence[row]), 4),
        xyxy=None if row is None else (x1, y1, x2, y2),
        image=result.frame.image,
        masks=None if row is None or found.masks is None else found.masks[[row]],
    )
