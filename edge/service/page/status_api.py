"""State of the service as JSON: cameras, models, parts, health, and the newest events."""

from __future__ import annotations

import time
from collections import deque
from http import HTTPStatus
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from pydantic import BaseModel

from edgeloop.edge.service.board import Board, CameraState, ModelState
from edgeloop.edge.service.clips.event_files import OWN_NAME, list_events
from edgeloop.edge.service.page.health import Check, Health, Readiness
from edgeloop.edge.service.page.metrics import Metrics
from edgeloop.edge.service.service_part import ServiceEvent

__all__ = ["StatusReader", "status_api"]

_MAX_EVENTS = 100
_KINDS = {".jpg": "image/jpeg", ".mp4": "video/mp4", ".mkv": "video/x-matroska", ".json": "application/json"}


class CameraStatus(BaseModel):
    """State of one camera.

    Attributes:
        name: Name of the camera.
        model: Name of its model.
        status: State of the connection: waiting, open, silent, frozen, lost or ended.
        reason: Last failure of its connection or of one of its frames; "" if frames go through.
        age_s: Seconds since its newest frame arrived; null before the first.
        fps: Frames per second that went through in the last seconds.
        latency_p50_ms: Median time from the arrival of a frame to its detections; null before the first.
        latency_p95_ms: Its 95th percentile.
        arrived: Number of frames that arrived.
        fates: Number of frames by fate.
        reconnects: Number of connections after the first.
        stalled_s: Seconds in stalls that are over.
        width: Width of the newest frame in pixels; null before the first.
        height: Height of the newest frame in pixels; null before the first.
        events: Number of events by kind.
        drift: Kind of what it shows, by the training frames of its model: ok, blind, moved or unfamiliar; ""
            if that is unknown.
        drift_reason: What differs from the training frames; "" if nothing does.
    """

    name: str
    model: str
    status: str
    reason: str
    age_s: float | None
    fps: float
    latency_p50_ms: float | None
    latency_p95_ms: float | None
    arrived: int
    fates: dict[str, int]
    reconnects: int
    stalled_s: float
    width: int | None
    height: int | None
    events: dict[str, int]
    drift: str
    drift_reason: str


class ServiceStatus(BaseModel):
    """State of the service.

    Attributes:
        device: Name of the device.
        version: Version of edgeloop.
        uptime_s: Seconds since the service started.
        ready: True if every check is fine.
        checks: Checks of readiness.
        cameras: State of each camera.
        models: State of each model.
        parts: Figures of the parts of the service.
        clips: True if pictures and clips of events are kept.
    """

    device: str
    version: str
    uptime_s: float
    ready: bool
    checks: list[Check]
    cameras: list[CameraStatus]
    models: list[ModelState]
    parts: dict[str, dict[str, float]]
    clips: bool


class PastEvent(BaseModel):
    """Event in a zone or at a line.

    Attributes:
        values: The event, as it is sent to MQTT and webhooks.
        picture: Address of its picture below the page; null if there is none.
        clip: Address of its clip below the page; null if there is none, or it is not whole yet.
    """

    values: dict[str, Any]
    picture: str | None
    clip: str | None


class StatusReader:
    """Reader of the state of the service for the page, which remembers the newest events."""

    def __init__(self, board: Board, health: Health, clips: Path | None) -> None:
        """Read a board; clips is the folder of events on disk, None if none are kept."""
        self._board, self._health, self._clips = board, health, clips
        self._past: deque[dict[str, Any]] = deque(maxlen=_MAX_EVENTS)
        self._counts: dict[str, deque[tuple[float, int]]] = {}

    def remember(self, event: ServiceEvent) -> dict[str, Any]:
        """Keep an event for pages that open later; its JSON."""
        values = event.as_dict()
        self._past.append(values)
        return values

    def count(self) -> None:
        """Note the number of frames, once a second, from which rates are computed."""
        now = time.monotonic()
        for name, state in self._board.cameras.items():
            self._counts.setdefault(name, deque(maxlen=6)).append((now, state.stream.meter.frames))

    def status(self) -> ServiceStatus:
        """State of everything."""
        board, found = self._board, self._health.readiness()
        return ServiceStatus(
            device=board.name,
            version=version("edgeloop"),
            uptime_s=round(time.monotonic() - board.started_at, 1),
            ready=found.ready,
            checks=found.checks,
            cameras=[self._camera(state) for state in board.cameras.values()],
            models=list(board.models.values()),
            parts=board.figures(),
            clips=self._clips is not None,
        )

    def newest_events(self, limit: int) -> list[PastEvent]:
        """Newest events, the newest first: those on disk, and those of this run that are not."""
        saved = [] if self._clips is None else list_events(self._clips, limit)
        events = [
            PastEvent(values=each.values, picture=_address(each.picture), clip=_address(each.clip))
            for each in saved
        ]
        known = {each.values.get("id") for each in events}
        rest = [each for each in list(self._past) if each["id"] not in known]
        events += [PastEvent(values=each, picture=None, clip=None) for each in rest]
        return sorted(events, key=_wall_time, reverse=True)[:limit]

    def file(self, name: str) -> Path | None:
        """File of an event; None if there is none of that name."""
        if self._clips is None or not OWN_NAME.fullmatch(name):
            return None
        path = self._clips / name
        return path if path.is_file() and not path.is_symlink() else None

    def _camera(self, state: CameraState) -> CameraStatus:
        link, latency = state.link, state.stream.meter.latency_ms
        age_s = state.age_s()
        return CameraStatus(
            name=state.name,
            model=state.model,
            status=link.status,
            reason=link.reason or state.reason,
            age_s=None if age_s is None else round(age_s, 2),
            fps=self._fps(state.name),
            latency_p50_ms=None if latency is None else latency.p50,
            latency_p95_ms=None if latency is None else latency.p95,
            arrived=link.arrived,
            fates=dict(state.fates),
            reconnects=link.reconnects,
            stalled_s=round(link.stalled_s, 1),
            width=link.size and link.size[0],
            height=link.size and link.size[1],
            events=dict(state.events),
            drift=state.drift,
            drift_reason=state.drift_reason,
        )

    def _fps(self, camera: str) -> float:
        counts = self._counts.get(camera)
        if counts is None or len(counts) < 2:
            return 0.0
        (from_s, from_count), (to_s, to_count) = counts[0], counts[-1]
        return round((to_count - from_count) / (to_s - from_s), 1)


def status_api(reader: StatusReader, health: Health, metrics: Metrics) -> APIRouter:
    """Build the API of the state: health, metrics, events and their files."""
    api = APIRouter()

    @api.head("/healthz", include_in_schema=False)
    @api.get("/healthz", tags=["health"], response_class=PlainTextResponse)
    async def check_process() -> Response:  # in no thread: a disk that hangs may hold them all
        """Answer 200 while the supervisor of the process runs."""
        if health.alive():
            return PlainTextResponse("ok\n")
        return PlainTextResponse("the supervisor does not run\n", HTTPStatus.SERVICE_UNAVAILABLE)

    @api.head("/readyz", include_in_schema=False)
    @api.get("/readyz", tags=["health"], response_model=Readiness)
    def check_readiness() -> Response:
        """Answer 200 if every camera, model and disk is as it should be, else 503 and name what is not."""
        found = health.readiness()
        status = HTTPStatus.OK if found.ready else HTTPStatus.SERVICE_UNAVAILABLE
        return JSONResponse(found.model_dump(), status)

    @api.get("/metrics", tags=["health"], response_class=PlainTextResponse)
    def scrape() -> Response:
        """Metrics in the text format of Prometheus."""
        return Response(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @api.get("/api/status", tags=["state"])
    def describe() -> ServiceStatus:
        """State of cameras, models, parts and health. Open pages get it each second as the event `status`."""
        return reader.status()

    @api.get("/api/newest", tags=["state"])
    def list_newest(limit: Annotated[int, Query(ge=1, le=_MAX_EVENTS)] = 30) -> list[PastEvent]:
        """Newest events, the newest first."""
        return reader.newest_events(limit)

    @api.head("/clips/{name}", include_in_schema=False)
    @api.get("/clips/{name}", tags=["state"], response_class=FileResponse)
    def send_file(name: str) -> Response:
        """Picture, clip or JSON of an event; parts of it by Range."""
        path = reader.file(name)
        if path is None:
            return JSONResponse({"detail": "no such file; the oldest are deleted"}, HTTPStatus.NOT_FOUND)
        # A name is never used again, but the JSON of an event is written again when its clip ends.
        kept = "no-cache" if path.suffix == ".json" else "private, max-age=86400, immutable"
        return FileResponse(path, media_type=_KINDS[path.suffix], headers={"Cache-Control": kept})

    return api


def _wall_time(event: PastEvent) -> float:
    found = event.values.get("wall_time")
    return found if isinstance(found, float | int) else 0.0


def _address(path: Path | None) -> str | None:
    return None if path is None else f"clips/{path.name}"
