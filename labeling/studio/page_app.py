"""Application of the studio's page, and the tabs that it shows."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources import files
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.types import ASGIApp

from edgeloop.edge.web.access import Access
from edgeloop.edge.web.page_events import Events
from edgeloop.edge.web.web_app import web_app

__all__ = ["PageInfo", "build_app", "page_api"]

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


def build_app(title: str, access: Access, events: Events, routers: Iterable[APIRouter]) -> ASGIApp:
    """Build the application.

    Args:
        title: Name of the API, for its OpenAPI document.
        access: Addresses under which it answers.
        events: Events for open pages, at `api/events`.
        routers: Parts of the API, each below `api/`.
    """
    api = APIRouter(prefix="/api")
    for router in routers:
        api.include_router(router)
    static = files("edgeloop.labeling.studio") / "static"
    return web_app(title, access, events, (api,), static=static, fields=_FIELDS)
