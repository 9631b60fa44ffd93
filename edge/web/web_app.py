"""Application of a page: static files, the API, and one place that turns errors into replies."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from http import HTTPStatus
from importlib.metadata import version
from importlib.resources.abc import Traversable
from typing import Any

from anyio import to_thread
from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel
from starlette.types import ASGIApp

from edgeloop.edge.web.access import Access, Guard
from edgeloop.edge.web.page_events import Events
from edgeloop.models.errors import DataError, EdgeloopError, NoInputError, UnavailableError, UsageError

__all__ = ["ends_with", "web_app"]

_KINDS = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_FILE = re.compile(r"(?:[a-z0-9-]{1,50}/){0,3}[a-z0-9-]{1,50}(\.[a-z]{1,5})")
_ATTRIBUTE = re.compile(r"^ *(\w+): (.*?)(?=^ *\w+: |\Z)", re.DOTALL | re.MULTILINE)
_STATUS = {
    UsageError: HTTPStatus.UNPROCESSABLE_ENTITY,
    DataError: HTTPStatus.UNPROCESSABLE_ENTITY,
    NoInputError: HTTPStatus.NOT_FOUND,
    UnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
}


def web_app(
    title: str,
    access: Access,
    events: Events,
    routers: Iterable[APIRouter],
    *,
    static: Traversable,
    fields: Mapping[str, str] | None = None,
) -> ASGIApp:
    """Build the application of a page.

    Args:
        title: Name of the API, for its OpenAPI document.
        access: Addresses under which it answers, and the secret that it asks for.
        events: Events for open pages, at `api/events`.
        routers: Parts of the API, with their prefixes.
        static: Folder of the files of the page, `index.html` among them.
        fields: Descriptions of fields that mean the same in every model, for the OpenAPI document.
    """
    app = FastAPI(
        title=title,
        version=version("edgeloop"),
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    app.add_exception_handler(EdgeloopError, _say_error)
    app.add_exception_handler(RequestValidationError, _say_invalid)
    app.add_exception_handler(Exception, _say_fault)
    for router in routers:
        app.include_router(router)

    @app.get("/api/events", tags=["page"], response_class=StreamingResponse)
    async def stream_events() -> StreamingResponse:
        """Server-sent events: each has a name and a JSON object."""
        events.check_room()
        return StreamingResponse(_text(events), media_type="text/event-stream")

    @app.api_route("/{path:path}", methods=["GET", "HEAD"], include_in_schema=False)
    def serve_static(path: str) -> Response:
        return _static(static, path or "index.html")

    app.openapi = partial(_openapi, app, fields or {})  # type: ignore[method-assign]
    return Guard(app, access)


def ends_with(close: Callable[[], None]) -> Callable[[object], AbstractAsyncContextManager[None]]:
    """Lifespan of a part of the API: `close` is called, in a thread, when the server ends."""

    @asynccontextmanager
    async def lifespan(_: object) -> AsyncIterator[None]:
        yield
        await to_thread.run_sync(close)

    return lifespan


def _openapi(app: FastAPI, fields: Mapping[str, str]) -> dict[str, Any]:
    """OpenAPI document, in which `Attributes:` of docstrings describe the fields of models."""
    document = FastAPI.openapi(app)
    inherited: dict[str, dict[str, str]] = {}
    for model in _models(BaseModel):
        for base in reversed(model.__mro__[1:]):
            inherited.setdefault(model.__name__, {}).update(_attributes(base.__doc__ or "")[1])
    for schema in document.get("components", {}).get("schemas", {}).values():
        schema["description"], own = _attributes(schema.get("description", ""))
        described = {**fields} | inherited.get(schema.get("title", ""), {}) | own
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


def _static(folder: Traversable, path: str) -> Response:
    named = _FILE.fullmatch(path)
    kind = _KINDS.get(named[1]) if named else None
    found = folder.joinpath(*path.split("/")) if kind else None
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
