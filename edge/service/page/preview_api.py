"""Preview over HTTP: the newest picture of a camera as JPEG, and all of them as MJPEG."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from edgeloop.edge.service.page.preview import Preview

__all__ = ["preview_api"]

PATIENCE_S = 10.0
"""Longest time in seconds for a viewer to take a picture; after it the viewer is dropped."""

_BOUNDARY = "edgeloop-picture"


def preview_api(preview: Preview) -> APIRouter:
    """Build the API of the preview."""
    api = APIRouter(prefix="/cameras", tags=["preview"])
    missing: dict[int | str, dict[str, Any]] = {404: {"description": "There is no such camera."}}

    @api.get("/{camera}.jpg", response_class=Response, responses=missing)
    async def send_newest(camera: str) -> Response:
        """Newest picture with boxes, zones and ids."""
        if camera not in preview:
            return _no_camera()
        return Response((await preview.newest(camera)).jpeg, media_type="image/jpeg")

    @api.get("/{camera}.mjpg", response_class=StreamingResponse, responses=missing)
    async def send_stream(camera: str) -> Response:
        """Pictures with boxes, zones and ids, as MJPEG; who is slow gets fewer."""
        if camera not in preview:
            return _no_camera()
        preview.check_room()
        kind = f"multipart/x-mixed-replace; boundary={_BOUNDARY}"
        return _Stream(_parts(preview, camera), kind)

    return api


def _no_camera() -> Response:
    return JSONResponse({"detail": "no such camera"}, HTTPStatus.NOT_FOUND)


async def _parts(preview: Preview, camera: str) -> AsyncGenerator[bytes, None]:
    with preview.viewer(camera) as viewer:
        async for picture in preview.stream(camera, viewer):
            size = len(picture.jpeg)
            head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {size}\r\n\r\n"
            yield head.encode() + picture.jpeg + b"\r\n"


class _Stream(StreamingResponse):
    """Stream that ends if its reader does not read.

    Its pictures are closed here: the garbage collector would do it in whichever thread it runs, perhaps in
    one that holds the board.
    """

    def __init__(self, parts: AsyncGenerator[bytes, None], kind: str) -> None:
        super().__init__(parts, media_type=kind)
        self._parts = parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_in_time(message: Message) -> None:
            async with asyncio.timeout(PATIENCE_S):
                await send(message)

        async with aclosing(self._parts):
            with suppress(TimeoutError):
                await super().__call__(scope, receive, send_in_time)
