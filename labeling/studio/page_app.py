"""Application of the page: static files, the API, and one place that turns errors into replies."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from http import HTTPStatus
from importlib.resources import files
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, Field
from starlette.types import ASGIApp

from edgeloop.labeling.studio.access import Access, Guard
from edgeloop.labeling.studio.events import Events
from edgeloop.models.errors import DataError, EdgeloopError, NoInputError, UnavailableError, UsageError

__all__ = ["PageInfo", "build_app", "ends_with", "page_api"]

_STATIC = files("edgeloop.labeling.studio") / "static"
_KINDS = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_FILE = re.compile(r"(?:[a-z0-9-]{1,50}/){0,3}[a-z0-9-]{1,50}(\.[a-z]{1,5})")
_FIELDS = {  # that mean the same in every model
    "base": "Revision that is changed; null to replace any.",
    "boxes": "Boxes with their classes.",
    "command": "Command line that does the same.",
    "complete": "True if every object of interest has a box.",
    "frame": "Number of the frame.",
    "height": "Height in pixels.",
    "name": "Class name.",
    "polygons": "Outlines of the object's parts, each x, y, x, y, ... in pixels of the frame.",
    "score": "Score, in [0, 1].",
    "width": "Width in pixels.",
    "xyxy": "Corners x1, y1, x2, y2 in pixels of the frame.",
}
_ATTRIBUTE = re.compile(r"^ *(\w+): (.*?)(?=^ *\w+: |\Z)", re.DOTALL | re.MULTILINE)
_STATUS = {
    UsageError: HTTPStatus.UNPROCESSABLE_ENTITY,
    DataError: HTTPStatus.UNPROCESSABLE_ENTITY,
    NoInputError: HTTPStatus.NOT_FOUND,
    UnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
}


class PageInfo(BaseModel):
    """Names of the folders that are open, and the tabs that the page shows."""

    frames: Annotated[str, Field(description="Folder that is shown.")]
    work: Annotated[str, Field(description="Folder of everything that is made.")]
    tabs: Annotated[tuple[str, ...], Field(description="Names of the tabs, in their order.")]


def page_api(info: PageInfo) -> APIRouter:
    """Build the API of the page itself."""
    api = APIRouter(tags=["page"])

    @api.get("/project")
    def describe() -> PageInfo:
        """Describe the project."""
        return info

    return api


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
    app.add_exception_handler(Exception, _say_fault)
    for router in routers:
        app.include_router(router, prefix="/api")

    @app.get("/api/events", tags=["page"], response_class=StreamingResponse)
    async def stream_events() -> StreamingResponse:
        """Server-sent events: each has a name and a JSON object."""
        events.check_room()
        return StreamingResponse(_text(events), media_type="text/event-stream")

    @app.api_route("/{path:path}", methods=["GET", "HEAD"], include_in_schema=False)
    def serve_static(path: str) -> Response:
        return _static(path or "index.html")

    app.openapi = partial(_openapi, app)  # type: ignore[method-assign]
    return Guard(app, access)


def ends_with(close: Callable[[], None]) -> Callable[[object], AbstractAsyncContextManager[None]]:
    """Lifespan of a part of the API: `close` is called, in a thread, when the server ends."""

    @asynccontextmanager
    async def lifespan(_: object) -> AsyncIterator[None]:
        yield
        await to_thread.run_sync(close)

    return lifespan


def _openapi(app: FastAPI) -> dict[str, Any]:
    """OpenAPI document, in which `Attributes:` of docstrings describe the fields of models."""
    document = FastAPI.openapi(app)
    inherited: dict[str, dict[str, str]] = {}
    for model in _models(BaseModel):
        for base in reversed(model.__mro__[1:]):
            inherited.setdefault(model.__name__, {}).update(_attributes(base.__doc__ or "")[1])
    for schema in document.get("components", {}).get("schemas", {}).values():
        schema["description"], own = _attributes(schema.get("description", ""))
        described = _FIELDS | inherited.get(schema.get("title", ""), {}) | own
        for field, found in schema.get("properties", {}).items():
            if field in described:
                found.setdefault("description", described[field])
    return document


def _models(base: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for model in base.__subclasses__():
        yield model
        yield from _models(model)


def _attributes(text: str) -> tuple[str, dict[str, str]]:
    """Summary of a docstring, and what it says of each attribute."""
    summary, _, attributes = text.partition("Attributes:\n")
    return summary.strip(), {field: " ".join(said.split()) for field, said in _ATTRIBUTE.findall(attributes)}


async def _text(events: Events) -> AsyncIterator[str]:
    async for text in events.stream():
        yield text


def _static(path: str) -> Response:
    named = _FILE.fullmatch(path)
    kind = _KINDS.get(named[1]) if named else None
    found = _STATIC.joinpath(*path.split("/")) if kind else None
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
    text = f"{place:.200}: {first['msg']}" if place else str(first["msg"])
    return JSONResponse({"detail": text.encode("utf-8", "replace").decode()}, HTTPStatus.UNPROCESSABLE_ENTITY)


async def _say_fault(_: Request, error: Exception) -> JSONResponse:
    text = f"internal error ({type(error).__name__}); the terminal says more"
    return JSONResponse({"detail": text}, HTTPStatus.INTERNAL_SERVER_ERROR)
