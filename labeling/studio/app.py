"""Application of the page: static files, the API, and one place that turns errors into replies."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from http import HTTPStatus
from importlib.resources import files

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.types import ASGIApp

from edgeloop.labeling.studio.access import Access, Guard
from edgeloop.labeling.studio.events import Events
from edgeloop.models.errors import DataError, EdgeloopError, NoInputError, UnavailableError, UsageError

__all__ = ["build_app"]

_STATIC = files("edgeloop.labeling.studio") / "static"
_KINDS = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_STATUS = {
    UsageError: HTTPStatus.UNPROCESSABLE_ENTITY,
    DataError: HTTPStatus.UNPROCESSABLE_ENTITY,
    NoInputError: HTTPStatus.NOT_FOUND,
    UnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
}


def build_app(
    title: str, version: str, access: Access, events: Events, routers: Iterable[APIRouter]
) -> ASGIApp:
    """Build the application.

    Args:
        title: Name of the API, for its OpenAPI document.
        version: Version of edgeloop.
        access: Addresses under which it answers.
        events: Events for open pages, at `api/events`.
        routers: Parts of the API, each below `api/`.
    """
    app = FastAPI(
        title=title, version=version, openapi_url="/api/openapi.json", docs_url=None, redoc_url=None
    )
    app.add_exception_handler(EdgeloopError, _say_error)
    app.add_exception_handler(RequestValidationError, _say_invalid)
    for router in routers:
        app.include_router(router, prefix="/api")

    @app.get("/api/events", tags=["page"], response_class=StreamingResponse)
    async def stream_events() -> StreamingResponse:
        """Server-sent events: each has a name and a JSON object."""
        return StreamingResponse(_text(events), media_type="text/event-stream")

    @app.get("/{path:path}", include_in_schema=False)
    def serve_static(path: str) -> Response:
        return _static(path or "index.html")

    return Guard(app, access)


async def _text(events: Events) -> AsyncIterator[str]:
    async for text in events.stream():
        yield text


def _static(path: str) -> Response:
    parts = path.split("/")
    kind = _KINDS.get("." + parts[-1].rpartition(".")[2])
    found = _STATIC.joinpath(*parts) if kind and all(part and part[0] != "." for part in parts) else None
    if found is None or not found.is_file():
        return JSONResponse({"detail": "no such page"}, HTTPStatus.NOT_FOUND)
    return Response(found.read_bytes(), media_type=kind, headers={"Cache-Control": "no-cache"})


async def _say_error(_: Request, error: Exception) -> JSONResponse:
    status = next(
        (code for kind, code in _STATUS.items() if isinstance(error, kind)), HTTPStatus.INTERNAL_SERVER_ERROR
    )
    return JSONResponse({"detail": str(error)}, status)


async def _say_invalid(_: Request, error: Exception) -> JSONResponse:
    """One line: place, and what is wrong with it."""
    first = error.errors()[0] if isinstance(error, RequestValidationError) else {"loc": (), "msg": str(error)}
    place = ".".join(str(part) for part in first["loc"][1:])
    return JSONResponse(
        {"detail": f"{place}: {first['msg']}" if place else first["msg"]}, HTTPStatus.UNPROCESSABLE_ENTITY
    )
