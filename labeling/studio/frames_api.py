"""API of the frames and of the boxes that a person drew on them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from http import HTTPStatus
from pathlib import Path
from typing import Annotated

import cv2
from annotated_types import Len
from fastapi import APIRouter, Header
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict

from edgeloop.edge.host.file_version import file_version
from edgeloop.edge.host.opencv import encode_image, require_image
from edgeloop.labeling.studio.exemplar_file import ClassName, ConflictError, DrawnFrame
from edgeloop.labeling.studio.project import Project
from edgeloop.models.errors import DataError

__all__ = ["frames_api"]

_THUMBNAIL_PX = 240  # longer side
_THUMBNAILS = 2000  # kept in memory, about 8 kB each
_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n"


_Known = Annotated[str | None, Header(description="ETag of the image that is known")]


class _Frames(BaseModel):
    """All frames.

    Attributes:
        files: Their names, in the order in which they were taken; a frame's number is its place here.
        drawn: Frames with boxes, and complete ones, by number.
        classes: Class names, in the order of the number keys.
    """

    files: list[str]
    drawn: dict[int, _Drawn]
    classes: list[str]


class _Drawn(BaseModel):
    """Summary of a frame.

    Attributes:
        boxes: Number of boxes.
        complete: True if every object of interest has a box.
        classes: Number of boxes by class.
    """

    boxes: int
    complete: bool
    classes: dict[str, int]


class _Boxes(DrawnFrame):
    """Boxes of a frame, their revision, and its size.

    Attributes:
        base: Revision of the boxes.
        width: Width of the frame in pixels; 0 if it cannot be read.
        height: Height of the frame in pixels; 0 if it cannot be read.
        unreadable: Reason in one line why it cannot be read; null if it can.
    """

    base: str
    width: int
    height: int
    unreadable: str | None = None


class _ChangedBoxes(DrawnFrame):
    """New boxes of a frame; `base` is the revision that was changed, or null to replace any."""

    base: str | None = None


class _Classes(BaseModel):
    """All classes.

    Attributes:
        names: Class names, in the order of the number keys.
    """

    model_config = ConfigDict(extra="forbid")

    names: Annotated[list[ClassName], Len(0, 1000)]


class _Rename(BaseModel):
    """New name of a class.

    Attributes:
        name: Class that is renamed.
        to: New name; if there is such a class, both become one.
    """

    model_config = ConfigDict(extra="forbid")

    name: ClassName
    to: ClassName


def frames_api(project: Project, *, on_rename: Callable[[str, str], None]) -> APIRouter:
    """Build the API of a project's frames and boxes.

    Args:
        project: The project.
        on_rename: Called with the old and the new name of a class.
    """
    api = APIRouter(tags=["frames"])
    drawn, events = project.drawn, project.events
    numbers = {entry.name: number for number, entry in enumerate(project.entries)}

    @lru_cache(maxsize=_THUMBNAILS)
    def thumbnail_of(number: int, _tag: str) -> bytes:
        image = project.image(number)
        height, width = image.shape[:2]
        scale = _THUMBNAIL_PX / max(height, width)
        size = max(1, round(scale * width)), max(1, round(scale * height))
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        return encode_image(".jpg", small, quality=80)

    @api.get("/frames")
    def list_frames() -> _Frames:
        """List the frames, and what is drawn on which."""
        return _Frames(
            files=[entry.name for entry in project.entries],
            drawn={
                numbers[name]: _summary(frame) for name, frame in drawn.drawn().items() if name in numbers
            },
            classes=list(drawn.names),
        )

    @api.get("/frames/{number}/image", response_class=Response)
    def image(number: int, if_none_match: _Known = None) -> Response:
        """Image of a frame, in a form that every browser shows, upright."""
        path = project.path(number)
        if (tag := _tag(path)) == if_none_match:
            return _image_reply(HTTPStatus.NOT_MODIFIED, tag)
        pixels = require_image(path)  # whatever a browser makes of a damaged file
        data = path.read_bytes()
        if (kind := _browser_kind(data)) is None:
            data, kind = encode_image(".png", pixels), "image/png"
        return _image_reply(HTTPStatus.OK, tag, data, kind)

    @api.get("/frames/{number}/thumbnail", response_class=Response)
    def thumbnail(number: int, if_none_match: _Known = None) -> Response:
        """Small image of a frame, JPEG, its longer side 240 px; 204 without one if it cannot be read."""
        if (tag := _tag(project.path(number))) == if_none_match:
            return _image_reply(HTTPStatus.NOT_MODIFIED, tag)
        try:
            return _image_reply(HTTPStatus.OK, tag, thumbnail_of(number, tag), "image/jpeg")
        except DataError:
            return Response(status_code=HTTPStatus.NO_CONTENT)

    @api.get("/frames/{number}/boxes")
    def boxes(number: int) -> _Boxes:
        """Boxes that a person drew on a frame."""
        name = project.entry(number).name
        frame = drawn.frame(name)
        try:
            (width, height), unreadable = drawn.size_of(name), None
        except DataError as error:
            (width, height), unreadable = (0, 0), str(error)
        return _Boxes(**dict(frame), base=frame.revision, width=width, height=height, unreadable=unreadable)

    @api.put("/frames/{number}/boxes", response_model=dict[str, str])
    def put_boxes(number: int, change: _ChangedBoxes) -> dict[str, str] | JSONResponse:
        """Replace the boxes of a frame; saved when this returns. 409 if another page changed it meanwhile."""
        name, classes = project.entry(number).name, drawn.names
        frame = DrawnFrame(boxes=change.boxes, complete=change.complete)
        try:
            drawn.put(name, frame, revision=change.base)
        except ConflictError as error:
            current = {**error.current.model_dump(), "base": error.current.revision}
            return JSONResponse({"detail": str(error), "current": current}, HTTPStatus.CONFLICT)
        if drawn.names != classes:
            events.send("classes", {"names": list(drawn.names)})
        events.send("boxes", {"frame": number, "base": frame.revision, **_summary(frame).model_dump()})
        return {"base": frame.revision}

    @api.put("/classes")
    def put_classes(classes: _Classes) -> _Classes:
        """Replace the class names and their order. A class that has boxes must stay."""
        drawn.set_names(classes.names)
        events.send("classes", {"names": list(drawn.names)})
        return _Classes(names=list(drawn.names))

    @api.post("/classes/rename")
    def rename_class(change: _Rename) -> _Classes:
        """Rename a class, and its boxes with it."""
        drawn.rename(change.name, change.to)
        on_rename(change.name, change.to)
        renamed = {"name": change.name, "to": change.to}
        events.send("classes", {"names": list(drawn.names), "renamed": renamed})
        return _Classes(names=list(drawn.names))

    return api


def _summary(frame: DrawnFrame) -> _Drawn:
    classes = Counter(box.name for box in frame.boxes)
    return _Drawn(boxes=len(frame.boxes), complete=frame.complete, classes=classes)


def _browser_kind(data: bytes) -> str | None:
    """Media type of an image file, by its content, if every browser shows it, and upright; else None."""
    if data.startswith(_JPEG):
        return "image/jpeg"
    if data[8:12] == b"WEBP" and b"EXIF" not in data:
        return "image/webp"
    if not data.startswith(_PNG) or b"eXIf" in data or data[24:25] == b"\x10":  # 12 of 16 bits: black
        return None
    return "image/png"


def _tag(path: Path) -> str:
    """ETag of an image file: another folder behind the same address must not show the images of this one."""
    version = file_version(path)
    return '"missing"' if version is None else '"' + "-".join(f"{part:x}" for part in version) + '"'


def _image_reply(status: HTTPStatus, tag: str, content: bytes = b"", kind: str | None = None) -> Response:
    return Response(content, status, {"Cache-Control": "private, no-cache", "ETag": tag}, kind)
